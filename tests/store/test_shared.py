"""Several studies in one database, which each folder remembers without a password."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmauto.config import from_mapping, plain
from mmauto.engine.jobs import Outcome
from mmauto.errors import ConfigError, StoreError
from mmauto.storage import complete
from mmauto.store.place import is_study, settle, storage_of
from mmauto.store.study import NewTrial, StudyStore
from mmauto.tuning.record import command

NewStudy = Callable[..., StudyStore]


@pytest.fixture
def shared(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'team.db'}"


def trial(number: int) -> NewTrial:
    return NewTrial("one", "search", 0, number, 0, {"train/lr": 0.1})


def test_studies_of_one_database_do_not_see_each_other(
    tmp_path: Path, shared: str, new_study: NewStudy
) -> None:
    for name in ("a", "b"):
        store = new_study(tmp_path / name, name, shared)
        for identity in store.begin([trial(number) for number in range(2 if name == "a" else 3)]):
            store.finish(Outcome(identity, "complete", 0.5, 0, (0.5,)))
        store.close()
    for name, count in (("a", 2), ("b", 3)):
        assert not (tmp_path / name / "study.db").exists()
        assert is_study(tmp_path / name)
        assert storage_of(tmp_path / name) == shared
        found = StudyStore.open(tmp_path / name)
        assert found is not None
        with closing(found):
            assert found.name == name
            assert len(found.trials()) == count
            assert math.isnan(found.facts["nan"])
            assert [view.name for view in found.arms()] == ["one"]


def test_a_name_is_one_folders(tmp_path: Path, shared: str, new_study: NewStudy) -> None:
    new_study(tmp_path / "ours", "m", shared).close()
    sentence = rf"holds one study of a name, {shared} has 'm' of .*:{tmp_path}/ours; choose another"
    with pytest.raises(StoreError, match=sentence):
        settle(tmp_path / "theirs", "m", shared)
    with pytest.raises(StoreError, match=sentence):  # both were new a moment ago
        new_study(tmp_path / "theirs", "m", shared)
    with pytest.raises(StoreError, match=sentence):
        StudyStore.open(tmp_path / "theirs")
    assert settle(tmp_path / "ours", "m", shared) == shared


def test_a_study_that_was_killed_before_its_row_begins_again(
    tmp_path: Path, shared: str, new_study: NewStudy
) -> None:
    new_study(tmp_path / "x", "x", shared).close()
    (tmp_path / "team.db").unlink()
    assert StudyStore.open(tmp_path / "x") is None
    assert not (tmp_path / "team.db").exists()  # who reads makes nothing
    new_study(tmp_path / "x", "x", shared).close()
    found = StudyStore.open(tmp_path / "x")
    assert found is not None
    found.close()


def test_a_study_stays_where_it_began(tmp_path: Path, shared: str, new_study: NewStudy) -> None:
    new_study(tmp_path / "own").close()
    with pytest.raises(StoreError, match=r"stays in the database where it began, that of .*own is"):
        settle(tmp_path / "own", "own", shared)
    assert settle(tmp_path / "own", "own", "") == ""
    new_study(tmp_path / "far", "far", shared).close()
    assert settle(tmp_path / "far", "far", "") == shared


def test_a_file_with_others_tables_is_shared_where_the_user_says_so(
    tmp_path: Path, shared: str, new_study: NewStudy
) -> None:
    with closing(sqlite3.connect(tmp_path / "team.db")) as other:
        other.execute("CREATE TABLE x (a)")
    new_study(tmp_path / "a", "a", shared).close()
    assert (tmp_path / "team.db").read_bytes()[18:20] == b"\2\2"  # ours, too, from now on
    found = StudyStore.open(tmp_path / "a")
    assert found is not None
    found.close()


def test_a_note_of_a_study_that_shares_nothing_is_refused(
    tmp_path: Path, new_study: NewStudy
) -> None:
    new_study(tmp_path / "own", "own").close()
    note = f"url = 'sqlite:///{tmp_path}/own/study.db'\nstudy = 'own'\ntoken = 't'\n"
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "storage.toml").write_text(note)
    with pytest.raises(StoreError, match="has 'own' of another folder; choose another --name"):
        StudyStore.open(tmp_path / "s")


@pytest.mark.parametrize(
    "content", ["url = ", "url = 'x'", "url = 3", "url = 'sqlite:///x'\na = 1"]
)
def test_a_damaged_note_of_the_place_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "storage.toml").write_text(content)
    with pytest.raises(StoreError, match=r"storage\.toml must say where a study is stored, it"):
        StudyStore.open(tmp_path)


def test_a_password_stays_in_memory() -> None:
    url = "postgresql+psycopg://ann:s%40cret@db.example:5433/team?sslmode=require"
    config = from_mapping({"task": "medical", "storage": url})
    clean = "postgresql+psycopg://ann@db.example:5433/team?sslmode=require"
    assert config.storage == plain(config)["storage"] == clean
    assert complete(clean).password == "s@cret"
    for text in (repr(config), command(config), str(config.identity()), repr(complete(clean))):
        assert "cret" not in text
    assert "storage" not in config.identity()
    asked = from_mapping({"task": "medical", "storage": f"{clean}&password=other-secret"})
    assert asked.storage == clean
    assert complete(clean).password == "other-secret"


def test_a_password_with_an_at_sign_is_not_taken_for_a_host() -> None:
    with pytest.raises(ConfigError, match=r"an @ as %40") as refused:
        from_mapping({"task": "medical", "storage": "postgresql://ann:hunter@2secret@host/db"})
    assert "2secret" not in str(refused.value)
    url = "mysql://ann@host/db?passwd=hunter2&sslpassword=x"
    clean = from_mapping({"task": "medical", "storage": url}).storage
    assert "hunter2" not in clean
    assert "sslpassword" not in clean


def test_what_is_no_database_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="--storage must be a database URL") as caught:
        from_mapping({"task": "medical", "storage": "postgres:ann:secret@host"})
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="must be a database that outlives a search"):
        from_mapping({"task": "medical", "storage": "sqlite://"})


def test_a_file_of_several_studies_is_found_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = from_mapping({"task": "medical", "storage": "sqlite:///team.db"})
    assert config.storage == f"sqlite:///{tmp_path / 'team.db'}"


def test_a_driver_that_is_missing_says_what_to_install(tmp_path: Path) -> None:
    for url in ("postgresql+pg8000://ann@host/team", "nothing://ann@host/team"):
        with pytest.raises(
            StoreError, match=r"needs its driver, .* `pip install mmauto\[postgres\]"
        ):
            settle(tmp_path / "x", "x", url)


def test_folds_have_names_of_their_own() -> None:
    whole = from_mapping({"task": "medical", "name": "m", "folds": 3})
    assert [whole.part(fold).title for fold in (1, 2)] == ["m/1", "m/2"]
    assert whole.title == "m"
