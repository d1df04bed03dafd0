"""Image encoders beyond the defaults: what they compute, what they refuse."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmauto_hf.image import HfImage
from mmauto_hf.vision import random_model
from mmauto_image.classic import ResNet50, Vgg16
from mmauto_image.conv_vae import ConvVae
from mmauto_image.detector import Detector
from mmauto_image.timm_zoo import TimmZoo

from mmauto.engine.compat import mend_torchvision
from mmauto.plugin import DataError, ImageArrays
from mmauto.space import defaults
from mmauto.testing.fakes import task_view

mend_torchvision()
NOISE = ImageArrays(np.random.default_rng(0).integers(0, 256, (4, 40, 32, 3), dtype=np.uint8))
needs_timm = pytest.mark.skipif(TimmZoo().missing() is not None, reason="timm is not installed")
needs_peft = pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="no peft")


def params_of(encoder: Any, **changed: Any) -> dict[str, Any]:
    return {**defaults(encoder.space(task_view())), **changed}


def encoded(encoder: Any, **changed: Any) -> torch.Tensor:
    params = params_of(encoder, **changed)
    state = encoder.fit(NOISE, params)
    arrays = dict(encoder.prepare(NOISE, state, params))
    with torch.no_grad():
        stem = encoder.stem(state, params)
        if stem is not None:
            arrays = stem(**arrays)
        values: torch.Tensor = encoder.build(state, params).eval()(**arrays).values
    return values


@pytest.mark.parametrize(
    ("encoder", "dim"), [(ResNet50(), 2048), (Vgg16(), 512), (Detector(), 1024)]
)
def test_random_frozen_networks_are_the_same_each_time(encoder: Any, dim: int) -> None:
    one, two = encoded(encoder, weights="random"), encoded(encoder, weights="random")
    assert one.shape[-1] == dim
    assert torch.equal(one, two)
    assert encoder.frozen(params_of(encoder, weights="random"))


def test_an_untrained_detector_still_tells_pictures_and_regions_apart() -> None:
    """Without statistics for its normalisation the signal would die out on the way."""
    found = encoded(Detector(), side=3)
    assert found.shape == (4, 9, 1024)
    size = found.norm(dim=-1).mean()
    assert (found[0] - found[1]).norm(dim=-1).mean() > 0.1 * size
    assert (found[0, 0] - found[0, 8]).norm() > 0.1 * size


def test_the_autoencoder_learns_to_draw_its_pictures() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.integers(0, 256, (4, 1, 1, 3), dtype=np.uint8), 64, 1).repeat(64, 2)
    column, encoder = ImageArrays(values), ConvVae()
    params = params_of(encoder, latent=32, width=16, beta=0.1)
    torch.manual_seed(0)
    module = encoder.build({}, params).train()
    arrays = encoder.prepare(column, {}, params)
    optimiser = torch.optim.AdamW(module.parameters(), 3e-3)
    for _ in range(60):
        losses = module(**arrays).losses
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    # the mean picture alone would leave 0.073
    assert float(losses["reconstruction"].detach()) < 0.03


@needs_timm
def test_any_network_of_timm_by_its_name() -> None:
    assert encoded(TimmZoo(), model="resnet10t", weights="random").shape == (4, 1, 512)
    # a transformer keeps the size that it was made for
    encoder = TimmZoo()
    state = encoder.fit(NOISE, params_of(encoder, model="vit_tiny_patch16_224"))
    assert (state["dim"], state["size"]) == (192, 224)


@needs_timm
def test_timm_with_a_name_or_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'resent18' is none; did you mean"):
        encoded(TimmZoo(), model="resent18")
    with pytest.raises(DataError, match="scratch, random, pretrained or a file"):
        encoded(TimmZoo(), weights=str(tmp_path / "none.pth"))


@needs_timm
def test_timm_reads_a_file_of_weights(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(3)
    network: Any = timm.create_model("resnet10t", num_classes=7)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    found = encoded(TimmZoo(), model="resnet10t", weights=str(tmp_path / "w.pth"))
    other = encoded(TimmZoo(), model="resnet10t", weights="random")
    assert not torch.allclose(found, other)
    (tmp_path / "odd.pth").write_bytes(b"no tensors")
    with pytest.raises(DataError, match="must hold the state dict of timm's resnet10t"):
        encoded(TimmZoo(), model="resnet10t", weights=str(tmp_path / "odd.pth"))


# ------------------------------------------------------------------------------- Hugging Face


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    random_model().save_pretrained(folder)
    about = {"size": {"height": 64, "width": 64}, "image_mean": [0.4] * 3, "image_std": [0.2] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return folder


def test_a_folder_gives_the_hidden_states_of_transformers(vit: Path) -> None:
    encoder = HfImage()
    params = params_of(encoder, model=str(vit))
    state = encoder.fit(NOISE, params)
    assert (state["size"], state["mean"]) == (64, [0.4] * 3)
    pixels = encoder.prepare(NOISE, state, params)["pixels"]
    with torch.no_grad():
        wanted = random_model().eval()(pixel_values=(pixels.float() / 255 - 0.4) / 0.2)
    assert torch.allclose(
        encoded(encoder, model=str(vit))[:, 0], wanted.last_hidden_state.mean(1), atol=1e-4
    )


@pytest.mark.parametrize("tune", ["last_layers", pytest.param("lora", marks=needs_peft), "full"])
@pytest.mark.parametrize("last", [1, 3])
def test_at_the_start_every_way_to_tune_is_the_model_itself(tune: str, last: int) -> None:
    frozen = encoded(HfImage())
    assert torch.allclose(encoded(HfImage(), tune=tune, last=last), frozen, atol=1e-4)


@needs_peft
def test_lora_trains_its_own_matrices_alone() -> None:
    encoder = HfImage()
    params = params_of(encoder, tune="lora", rank=4, last=3)
    module = encoder.build(encoder.fit(NOISE, params), params)
    names = [name for name, p in module.named_parameters() if p.requires_grad]
    assert names
    assert all(".lora_" in name for name in names)
    count = sum(p.numel() for p in module.parameters() if p.requires_grad)
    # three layers; rank 4 beside four projections of 64 x 64 and two of 64 x 128
    assert count == 3 * 4 * (4 * (64 + 64) + 2 * (64 + 128))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    configs: Any = BertConfig
    small = configs(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8,
    )  # fmt: skip
    BertModel(small).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="hf_image reads models of one image"):
        encoded(HfImage(), model=str(tmp_path))


def test_a_hierarchy_is_not_cut_between_layers(tmp_path: Path) -> None:
    from transformers import SwinConfig, SwinModel

    configs: Any = SwinConfig
    small = configs(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4
    )
    SwinModel(small).save_pretrained(tmp_path)
    assert encoded(HfImage(), model=str(tmp_path)).shape == (4, 1, 16)
    with pytest.raises(DataError, match="in a SwinModel they are not recognised"):
        encoded(HfImage(), model=str(tmp_path), tune="last_layers")


def test_changed_weights_are_noticed(vit: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(vit, folder)
    encoder = HfImage()
    params = params_of(encoder, model=str(folder))
    state = dict(encoder.fit(NOISE, params))
    with pytest.raises(DataError, match="must stay as it was"):
        encoder.build({**state, "weights": "other"}, params)
