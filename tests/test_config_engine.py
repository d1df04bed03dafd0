"""Where trials run: what fits together and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mmauto.config import from_mapping
from mmauto.errors import ConfigError
from mmauto.tuning.runners import device_of, threads_each


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "rey"}, r"unknown engine 'rey' \(from --engine\); did you mean 'ray'\?"),
        ({"address": "a:1"}, r"--address is of a Ray cluster, .*; leave it out, or add --engine"),
        ({"gpus_per_trial": 1.0}, "--gpus-per-trial is of a Ray cluster"),
        ({"cpus_per_trial": 2.0}, "--cpus-per-trial is of a Ray cluster"),
        ({"engine": "ray", "cpus_per_trial": 0.0}, "--cpus-per-trial must be a positive number"),
        ({"engine": "ray", "gpus_per_trial": -1.0}, "--gpus-per-trial must be 0 or more, it is -1"),
        ({"engine": "ray", "gpus_per_trial": 0.5, "device": "cpu"}, "--device is 'cpu'; leave one"),
        ({"engine": "ray", "device": "cuda"}, "use --gpus-per-trial 1 instead, or a fraction"),
        ({"engine": "ray", "gpus_per_trial": 1.0, "device": "cuda:1"}, "Ray hands out the GPUs"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping({"task": "medical", **given})


def test_the_engine_may_change_when_a_study_continues() -> None:
    plain = from_mapping({"task": "medical"})
    far = from_mapping(
        {"task": "medical", "engine": "ray", "address": "a:6379", "gpus_per_trial": 0.25}
    )
    assert plain.identity() == far.identity()


def test_a_coordinator_needs_no_gpu_of_its_own() -> None:
    far = from_mapping({"task": "medical", "engine": "ray", "gpus_per_trial": 0.25})
    assert device_of(far) == "cuda"
    assert device_of(from_mapping({"task": "medical", "engine": "ray"})) == "cpu"
    wide = from_mapping({"task": "medical", "engine": "ray", "cpus_per_trial": 4.0})
    assert threads_each(wide, 64) == 4
