"""Settings are checked where they are given, and messages name the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmauto.config import StudyConfig, difference, from_mapping, plain
from mmauto.config_space import dimension
from mmauto.errors import ConfigError
from mmauto.space import Choice, Float, Int
from mmauto.toml import read_toml, write_toml


def refuse(settings: dict, source: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        from_mapping(settings, source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "medical", "trials": 0}, "--trials must be at least 1, it is 0"),
        ({"task": "medical", "pack": 0}, "--pack must be at least 1, it is 0"),
        ({"task": "medical", "finetune": "3"}, "--finetune must be auto, none or like top3"),
        ({"task": "medical", "finetune_epochs": 0}, "--finetune-epochs must be at least 1"),
        ({"task": "medical", "epochs": -3}, "--epochs must be at least 1, it is -3"),
        ({"task": "medical", "time": -5.0}, "--time must be a positive number of seconds"),
        ({"task": "medical", "device": "gpu"}, "--device must be auto, cpu, cuda or cuda:N"),
        ({"task": "medical", "sampler": "tpa"}, "did you mean 'tpe'?"),
        ({"task": "medical", "trials": "many"}, "--trials must be a whole number, it is 'many'"),
        ({"task": "medical", "trials": True}, "--trials must be a whole number, it is True"),
        ({"task": "medical", "encoders": [1]}, "--encoders must be a list of names"),
        ({"task": "medical", "trails": 3}, "did you mean 'trials'?"),
        ({}, "a search needs a task or data, neither was given"),
        ({"task": "medical", "name": "../x"}, "--name must be letters, digits"),
        ({"task": "medical", "space": {"train/lr": []}}, "--space.train/lr must be a value"),
    ],
)
def test_impossible_settings_are_one_sentence(settings: dict, message: str) -> None:
    assert message in refuse(settings)


def test_messages_name_the_study_file_and_key() -> None:
    assert refuse({"task": "medical", "trials": 0}, "s.toml").startswith("s.toml: trials must")
    assert "(from s.toml)" in refuse({"task": "medical", "trails": 1}, "s.toml")


def test_one_text_stands_for_a_list_and_a_whole_number_for_a_number() -> None:
    found = from_mapping({"data": "x.csv", "target": "y", "time": 60})
    assert found.target == ("y",)
    assert found.time == 60.0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"task": "medical"}, "medical"),
        ({"task": "medical", "data": "some/breast_us"}, "medical-breast_us"),
        ({"data": "some/breast_us/data.csv", "target": "y"}, "breast_us"),
        ({"data": "my table.csv", "target": "y"}, "my-table"),
    ],
)
def test_a_study_is_named_after_task_and_data(settings: dict, name: str) -> None:
    assert from_mapping(settings).name == name


def test_a_study_file_round_trips(tmp_path: Path) -> None:
    made = from_mapping({"task": "medical", "trials": 3, "space": {"train/lr": [1e-3, 1e-2]}})
    path = tmp_path / "study.toml"
    write_toml(path, {**plain(made), "record": {"versions": {"torch": "x"}}})
    assert from_mapping(read_toml(path), str(path)) == made


def test_a_file_that_is_not_there_or_not_toml_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a study file must exist, .*none.toml does not"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError, match=r"must be TOML, .*bad.toml is not"):
        read_toml(tmp_path / "bad.toml")


def test_dimensions_of_a_study_file() -> None:
    assert dimension("x", 3) == Choice((3,))
    assert dimension("x", ["a", "b"]) == Choice(("a", "b"))
    assert dimension("x", {"low": 1, "high": 9}) == Int(1, 9, 5)
    assert dimension("x", {"low": 1e-4, "high": 1e-2, "log": True}) == Float(
        1e-4, 1e-2, 1e-3, log=True
    )
    with pytest.raises(ConfigError, match="unknown part 'hihg'"):
        dimension("x", {"low": 1, "high": 2, "hihg": 3})


def test_name_place_and_time_do_not_make_another_study() -> None:
    one = from_mapping({"task": "medical"})
    two = from_mapping({"task": "medical", "out": "x", "name": "y", "time": 9.0})
    assert one.identity() == two.identity()
    other = from_mapping({"task": "medical", "trials": 3})
    assert difference(one.identity(), other.identity()) == ["trials: 16 -> 3"]
    tuned = from_mapping({"task": "medical", "finetune": "top2", "finetune_epochs": 3})
    assert difference(one.identity(), tuned.identity()) == [
        "finetune: 'auto' -> 'top2'",
        "finetune_epochs: 5 -> 3",
    ]


def test_every_setting_has_a_documented_default() -> None:
    documented = StudyConfig.__doc__ or ""
    missing = [
        name
        for name in ("task", "trials", "time", "space", "generation", "pack", "finetune", "preset")
        if name not in documented
    ]
    assert not missing
