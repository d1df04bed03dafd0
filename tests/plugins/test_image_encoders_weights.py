"""Where image encoders get their weights: a fixed seed, a file, timm's own; what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmauto_image.classic import Classic, ResNet50, Vgg11
from mmauto_image.detector import VARIABLE, Detector
from mmauto_image.timm_zoo import TimmZoo
from mmauto_image.vit import VisionTransformer
from mmauto_image.weights import fixed_draws

from mmauto.engine.compat import mend_torchvision
from mmauto.plugin import DataError, ImageArrays
from mmauto.space import defaults
from mmauto.testing.fakes import task_view

mend_torchvision()
NOISE = ImageArrays(np.random.default_rng(0).integers(0, 256, (2, 40, 32, 3), dtype=np.uint8))
needs_timm = pytest.mark.skipif(TimmZoo().missing() is not None, reason="timm is not installed")


def encoded(encoder: Any, **changed: Any) -> torch.Tensor:
    params = {**defaults(encoder.space(task_view())), **changed}
    state = encoder.fit(NOISE, params)
    with torch.no_grad():
        module = encoder.build(state, params).eval()
        values: torch.Tensor = module(**encoder.prepare(NOISE, state, params)).values
    return values


def test_fixed_draws_leave_the_random_numbers_outside_as_they_were() -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    with fixed_draws():
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), wanted)
    with fixed_draws():
        assert torch.equal(torch.rand(3), inside)


@pytest.mark.parametrize("grid", [1, 2])
def test_resnet50_gives_tokens_of_2048(grid: int) -> None:
    assert encoded(ResNet50(), grid=grid).shape == (2, grid**2, 2048)


def test_a_vgg_with_a_file_is_torchvision_s_own_without_its_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import vgg

    torch.manual_seed(1)
    layers = vgg.make_layers(vgg.cfgs["A"])
    tensors = {f"features.{name}": value for name, value in layers.state_dict().items()}
    torch.save({**tensors, "classifier.0.weight": torch.zeros(3)}, tmp_path / "vgg11.pth")
    monkeypatch.setenv("MMAUTO_VGG11_WEIGHTS", str(tmp_path / "vgg11.pth"))
    found = encoded(Vgg11())  # the file is the default where there is one
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    pixels = Vgg11().prepare(NOISE, {}, {"size": 64})["pixels"]
    with torch.no_grad():
        wanted = layers((pixels / 255 - mean) / deviation).mean((2, 3))
    torch.testing.assert_close(found[:, 0], wanted)


@pytest.mark.parametrize("encoder", [ResNet50(), Vgg11()])
def test_weights_of_an_unknown_source_are_refused(encoder: Classic) -> None:
    with pytest.raises(DataError, match="one of file, scratch, random, the study names 'rnadom'"):
        encoded(encoder, weights="rnadom")


def test_the_detector_reads_the_file_that_its_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models import detection

    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.pth"))
    message = Detector().missing()
    assert message is not None
    assert f"{VARIABLE} must name a file" in message
    with pytest.raises(DataError, match="the encoder detector with weights = 'file'"):
        encoded(Detector())

    torch.manual_seed(2)
    make: Any = detection.fasterrcnn_mobilenet_v3_large_320_fpn
    torch.save(make(weights=None, weights_backbone=None).state_dict(), tmp_path / "w.pth")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "w.pth"))
    found = encoded(Detector())
    assert torch.equal(found, encoded(Detector()))
    assert not torch.allclose(found, encoded(Detector(), weights="random"))

    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(DataError, match="must hold torchvision's fasterrcnn_mobilenet_v3_large"):
        encoded(Detector())


@needs_timm
def test_timm_s_own_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise OSError("no route to the hub")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(DataError, match=r"neither in its cache .*no route to the hub") as caught:
        encoded(TimmZoo(), model="resnet10t", weights="pretrained")
    assert "torch.save(model.state_dict(), FILE) and give FILE as `weights`" in str(caught.value)


@pytest.mark.parametrize(("patch", "grid", "count"), [(8, 8, 64), (8, 4, 16), (16, 8, 16)])
def test_a_vision_transformer_gives_its_patches_or_means_of_them(
    patch: int, grid: int, count: int
) -> None:
    assert encoded(VisionTransformer(), patch=patch, grid=grid).shape == (2, count, 64)


def test_the_vision_transformer_s_means_are_those_of_neighbouring_patches() -> None:
    def tokens(grid: int) -> torch.Tensor:
        torch.manual_seed(0)
        return encoded(VisionTransformer(), grid=grid)

    fine = tokens(8).view(2, 4, 2, 4, 2, -1).mean((2, 4)).flatten(1, 2)
    torch.testing.assert_close(tokens(4), fine)
