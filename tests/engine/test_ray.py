"""A search on a real Ray cluster of several nodes, all on this machine."""

from __future__ import annotations

import csv
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mmauto
from mmauto.engine import ray_cluster, ray_runner
from mmauto.engine.jobs import Outcome, Setup, TrialJob
from mmauto.engine.ray_cluster import connected
from mmauto.engine.ray_runner import RayExecutor
from mmauto.engine.ray_shelf import Shelf, put_up
from mmauto.errors import ConfigError, MmautoError
from mmauto.registry import Registry
from mmauto.store.study import StudyStore
from mmauto.tuning.watch import Watcher

QUICK: dict[str, Any] = {
    "target": "label", "text": "note", "tabular": ["x", "y"], "trials": 4, "epochs": 3,
    "confirm_seeds": 2, "fusions": ["concat_mlp"], "encoders": ["bag_of_words"],
    "exclude": ["logistic", "boosting"], "generation": 2, "probe_rows": 40, "device": "cpu",
}  # fmt: skip
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 rows: the label needs a word of the note and the sign of a number."""
    source, folder = random.Random(0), tmp_path_factory.mktemp("data")
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "x", "y", "label"])
        for _ in range(160):
            loud, x = source.random() < 0.5, source.gauss(0, 1)
            note = " ".join(source.sample(["a", "dull", "quiet", "day", "again"], 3))
            label = ("loud" if loud else "calm") if x > 0 else "none"
            writer.writerow([f"{note} {'noise' if loud else 'silence'}", x, source.random(), label])
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without processors, and two nodes with one each and caches of their own."""
    from ray.cluster_utils import Cluster

    head = {**NODE, "num_cpus": 0, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    for place in ("one", "two"):
        cache = tmp_path_factory.mktemp(place)
        found.add_node(**NODE, env_vars={"MMAUTO_CACHE": str(cache)})
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def local(table: Path, tmp_path_factory: pytest.TempPathFactory) -> mmauto.Study:
    out = str(tmp_path_factory.mktemp("local"))
    return mmauto.search(data=str(table), name="s", out=out, workers=1, **QUICK)


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def same(one: mmauto.Study, two: mmauto.Study) -> None:
    def trials(study: mmauto.Study) -> list[tuple[Any, ...]]:
        rows = study.trials()
        return sorted((t.arm, t.index, t.state, t.value, str(t.params), t.curve) for t in rows)

    assert one.state == two.state == "finished"
    assert trials(one) == trials(two)
    left, right = one.leaderboard(), two.leaderboard()
    for name in ("arm", "seeds", "validation", "test", "test_low", "test_high"):
        assert left[name].tolist() == right[name].tolist()


@pytest.mark.slow
def test_a_cluster_finds_what_one_process_finds(
    cluster: Any, local: mmauto.Study, table: Path, tmp_path: Path
) -> None:
    where = {"out": str(tmp_path), "engine": "ray", "address": cluster.address}
    far = mmauto.search(data=str(table), name="s", **where, **QUICK)
    same(far, local)
    # bundles and answers came back from the nodes
    arms = {"concat_mlp", "text_only", "tabular_only", "majority"}
    assert {path.name for path in (far.folder / "models").iterdir()} == arms
    assert {path.stem for path in (far.folder / "probes").iterdir()} == {
        path.stem for path in (local.folder / "probes").iterdir()
    }
    assert set(far.best().predict(table)) == {"loud", "calm", "none"}


@pytest.mark.slow
def test_features_travel_between_nodes_that_share_no_folder(
    cluster: Any,
    registry: Registry,
    setup: Setup,
    make_job: Callable[..., TrialJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hidden(folder: str, node: str) -> Shelf:
        shelf = put_up(folder, node)
        shelf.sign.unlink()
        return shelf

    monkeypatch.setattr(ray_cluster, "put_up", hidden)
    said: list[list[str]] = [[], []]
    found: list[Outcome] = []
    with connected(cluster.address, 1.0, 0.0) as place:
        both = [RayExecutor(place, 60.0, own.append, found.append) for own in said]
        try:
            for executor in both:
                executor.use(setup)
            both[0].run_pack([make_job(0)], go_on)
            wait_for(lambda: len(list(Path(setup.cache).glob("*-*/key.json"))) == 2)
            both[1].run_pack([make_job(1)], go_on)
        finally:
            for executor in both:
                executor.close()
    assert [outcome.state for outcome in found] == ["complete", "complete"]
    assert found[0].curve == found[1].curve
    assert any("encoding left" in text for text in said[0])
    assert not any("encoding" in text for text in said[1])


def wait_for(there: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.fault("Ray")
@pytest.mark.slow
def test_a_node_that_dies_in_training_costs_nothing(
    cluster: Any,
    local: mmauto.Study,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed, told, observe = [], [], StudyStore.observe

    def kill(store: StudyStore, epoch: int, values: Mapping[int, float]) -> None:
        told.append((epoch, sorted(values)))
        if epoch == 1 and len(told) > 10 and not killed:
            killed.append(len(told))
            # the worker waits for an answer, in the middle of a pack
            cluster.remove_node(busy(cluster), allow_graceful=False)
            wait_for(lambda: not hosts())
        observe(store, epoch, values)

    monkeypatch.setattr(StudyStore, "observe", kill)
    watcher = Notes()
    where = {"out": str(tmp_path), "engine": "ray", "address": cluster.address, "workers": 1}
    try:
        far = mmauto.search(watcher, data=str(table), name="s", **where, **QUICK)
    finally:
        cluster.add_node(**NODE)
    place = killed[0]
    assert told[place : place + 2] == told[place - 2 : place]  # trained from its beginning
    assert [note for note in watcher.notes if "a worker of the cluster was lost" in note]
    assert len(far.trials()) == len(local.trials())
    same(far, local)


@pytest.mark.fault("Ray")
@pytest.mark.slow
def test_a_node_that_dies_leaves_the_others_at_work(
    cluster: Any,
    local: mmauto.Study,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its packs run again on a node that is free; nobody else begins anew."""
    cluster.add_node(**NODE)
    left: list[Path] = []
    alive, calls, observe, alone = [], [], StudyStore.observe, threading.Lock()

    def kill(store: StudyStore, epoch: int, values: Mapping[int, float]) -> None:
        calls.append(epoch)
        alive.extend(place.exists() for place in left)
        with alone:
            if len(calls) > 10 and not left:
                both = hosts()
                cluster.remove_node(busy(cluster), allow_graceful=False)
                wait_for(lambda: not all(place.exists() for place in both))
                left.extend(place for place in both if place.exists())
        observe(store, epoch, values)

    monkeypatch.setattr(StudyStore, "observe", kill)
    watcher = Notes()
    where = {"out": str(tmp_path), "engine": "ray", "address": cluster.address, "workers": 2}
    far = mmauto.search(watcher, data=str(table), name="s", **where, **QUICK)
    assert len([note for note in watcher.notes if "a worker of the cluster was lost" in note]) == 1
    assert len(left) == 1
    assert len(alive) > 5
    assert all(alive)
    same(far, local)


def hosts() -> list[Path]:
    """Processes of workers that are alive."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"ray::Host" in file.read_bytes():
                found.append(file)
    return found


def busy(cluster: Any) -> Any:
    """The node whose processor is taken."""
    from ray._private.state import available_resources_per_node

    free = {name for name, has in available_resources_per_node().items() if has.get("CPU")}
    return next(node for node in cluster.worker_nodes if node.node_id not in free)


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@pytest.mark.fault("Ray")
@pytest.mark.slow
def test_what_ends_every_worker_fails_alone_and_the_cluster_is_shared(
    cluster: Any,
    registry: Registry,
    setup: Setup,
    make_job: Callable[..., TrialJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_runner, "PATIENCE", 3.0)
    done: list[Outcome] = []
    said: list[str] = []
    deadly = make_job(1, component="faulty", params={"fusion/how": "exit"})
    with connected(cluster.address, 1.0, 0.0) as place:
        import ray

        wait_for(lambda: sum(node["Alive"] for node in ray.nodes()) == 3)  # one may just have died
        assert place.workers(0) == 2
        with pytest.raises(ConfigError, match=r"room for 2 and 3 must run; join machines with"):
            place.workers(3)
        others = [RayExecutor(place, 60.0, said.append, done.append) for _ in range(2)]
        third = RayExecutor(place, 60.0, said.append, done.append)
        for executor in (*others, third):
            executor.use(setup)
        try:
            outcomes = third.run_pack([make_job(0), deadly], go_on)
        finally:
            for executor in (*others, third):
                executor.close()
    assert "the cluster is full: a worker shares its place with others" in said
    assert [(o.id, o.state) for o in outcomes] == [(0, "complete"), (1, "failed")]
    assert sorted(outcome.id for outcome in done) == [0, 1]
    failure = outcomes[1].failure
    assert failure is not None
    assert failure.kind == "killed"
    assert "fusion 'faulty': a worker of the cluster was lost" in failure.message


# ------------------------------------------------------------------------------ without a cluster


def test_without_ray_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ConfigError, match=r"--engine ray needs .*; use pip install mmauto\[ray\]"),
        connected("", 1.0, 0.0),
    ):
        pass


def test_an_address_without_a_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("nobody answers\nat all")

    monkeypatch.setattr(ray, "init", refuse)
    with (
        pytest.raises(ConfigError, match=r"'10\.0\.0\.9:6379' was possible \(nobody answers\);"),
        connected("10.0.0.9:6379", 1.0, 0.0),
    ):
        pass


def fake_cluster(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, float]], cpus: float, gpus: float
) -> ray_cluster.Cluster:
    import ray

    told = [{"Alive": True, "NodeID": f"{n:056x}", "Resources": has} for n, has in enumerate(nodes)]
    free: dict[str, float] = {}
    for has in nodes:
        free = {name: free.get(name, 0.0) + has.get(name, 0.0) for name in ("CPU", "GPU")}
    monkeypatch.setattr(ray, "nodes", lambda: told)
    monkeypatch.setattr(ray, "available_resources", lambda: free)
    context = SimpleNamespace(get_node_id=lambda: "home")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    return ray_cluster.Cluster(cpus, gpus)


def test_workers_are_as_many_as_fit_on_whole_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0, "GPU": 1.0}, {"CPU": 64.0}]
    assert fake_cluster(monkeypatch, nodes, 1.0, 0.25).workers(0) == 8 + 3
    assert fake_cluster(monkeypatch, nodes, 2.0, 0.0).workers(0) == 4 + 1 + 32
    assert fake_cluster(monkeypatch, [{"CPU": 500.0}], 1.0, 0.0).workers(0) == 64
    assert fake_cluster(monkeypatch, [{"CPU": 500.0}], 1.0, 0.0).workers(100) == 100
    with pytest.raises(ConfigError, match=r"needs 1 CPUs and 4 GPUs of one node, .* room for 0"):
        fake_cluster(monkeypatch, nodes, 1.0, 4.0).workers(0)


def test_a_lost_gpu_is_looked_for_on_the_machines_that_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = fake_cluster(monkeypatch, [{"CPU": 9.0}, {"CPU": 1.0, "GPU": 1.0}], 1.0, 0.5)._taken()
    assert (left["num_gpus"], left["scheduling_strategy"].node_id) == (0, f"{1:056x}")
    assert fake_cluster(monkeypatch, [{"CPU": 1.0}], 1.0, 0.0)._taken() == {"num_cpus": 0}
    with pytest.raises(MmautoError, match=r"need a machine with a GPU, none is left .*; join one"):
        fake_cluster(monkeypatch, [{"CPU": 9.0}], 1.0, 0.5)._taken()
