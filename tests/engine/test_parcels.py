"""Bundles between machines that share no folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmauto.engine.jobs import ExplainJob, ProbeJob, TrialJob
from mmauto.engine.parcels import folders_read, folders_written, moved, packed, unpacked


def test_a_folder_arrives_as_it_was_and_replaces_an_older_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "parts").mkdir(parents=True)
    (one / "bundle.json").write_text("{}")
    (one / "parts" / "weights.safetensors").write_bytes(b"\0\1")
    two.mkdir()
    (two / "old").touch()
    unpacked(packed(one), two)
    found = {name: content.tobytes() for name, content in packed(two).items()}
    assert found == {"bundle.json": b"{}", "parts/weights.safetensors": b"\0\1"}
    assert packed(tmp_path / "none") == {}


def test_work_names_its_folders_and_takes_others(make_job: Callable[..., TrialJob]) -> None:
    rows = np.arange(2)
    probe = ProbeJob({"gmu": "/s/gmu", "majority": "/s/majority"}, rows, 1, 0)
    explain = ExplainJob("/s/gmu", rows, rows, rows, 1.0)
    jobs = [make_job(1, bundle="/s/.gmu-0"), make_job(2)]
    assert folders_read(probe) == ["/s/gmu", "/s/majority"]
    assert folders_read(explain) == ["/s/gmu"]
    assert folders_read(jobs) == []
    assert folders_written(jobs) == {1: "/s/.gmu-0"}
    assert folders_written(probe) == {}

    def there(folder: str) -> str:
        return f"/tmp{folder}"

    assert moved(probe, there).folders["gmu"] == "/tmp/s/gmu"
    assert moved(explain, there).folder == "/tmp/s/gmu"
    assert [job.bundle for job in moved(jobs, there)] == ["/tmp/s/.gmu-0", None]
    assert moved({1: True}, there) == {1: True}
