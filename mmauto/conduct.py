"""From a configuration to stored trials: data, workers, search, confirmation, importances."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mmauto.answers.optimism import optimism_of
from mmauto.answers.view import OPTIMISM
from mmauto.config import StudyConfig, difference, from_mapping
from mmauto.data.places import check_cache
from mmauto.engine.jobs import NOTE, Outcome
from mmauto.engine.metrics import METRICS
from mmauto.engine.train_space import FINETUNE
from mmauto.errors import ConfigError, StoreError
from mmauto.registry import Registry
from mmauto.store.files import CHECKPOINTS, save_truth
from mmauto.store.lease import held
from mmauto.store.seconds import SPENT
from mmauto.store.study import StudyStore
from mmauto.tuning.arm_findings import unfitting, untrained
from mmauto.tuning.arms import Arm, make_arms
from mmauto.tuning.confirm import Confirmation
from mmauto.tuning.crew import Crew
from mmauto.tuning.examples import Explaining
from mmauto.tuning.finetune import FineTuning
from mmauto.tuning.importance import importances
from mmauto.tuning.mirror import mirror
from mmauto.tuning.prepare import Prepared, prepare
from mmauto.tuning.probing import Probing
from mmauto.tuning.record import command, environment, write_study_toml
from mmauto.tuning.run import SEARCH_SHARE, Clock, Search
from mmauto.tuning.runners import cluster_of, device_of, make_runners, threads_each
from mmauto.tuning.warm_start import FACT, earlier_best, told
from mmauto.tuning.watch import Watcher
from mmauto.values import TaskView

if TYPE_CHECKING:
    from mmauto.engine.ray_cluster import Cluster


def conduct(config: StudyConfig, watcher: Watcher, registry: Registry) -> StudyConfig:
    """Search and confirm in the study's folder, from wherever it stands.

    A KeyboardInterrupt is passed on after what there is has been stored.

    Returns:
        The configuration with the roles that were found.

    Raises:
        StoreError: another search writes this study, or its database cannot be used.
    """
    with (
        held(config.folder, config.title, config.storage) as fence,
        cluster_of(config) as cluster,
    ):
        return _conduct(config, watcher, registry, cluster, fence)


def _conduct(
    config: StudyConfig,
    watcher: Watcher,
    registry: Registry,
    cluster: Cluster | None,
    fence: Callable[[], None],
) -> StudyConfig:
    start = time.monotonic()
    took_in: list[Callable[[Outcome], None]] = []
    offered = _offered(config)
    check_cache()  # refused now rather than by each worker
    # workers import torch while the data is read
    device = device_of(config)
    say = _heard(watcher)
    runners = make_runners(config, cluster, device, say, lambda outcome: took_in[-1](outcome))
    crew = Crew(runners)
    try:
        prepared = prepare(config, registry, device)
        config = prepared.config
        arms = make_arms(registry, prepared.task, config, _used(config, prepared.task))
        odd = [*unfitting(arms, registry, config), *untrained(arms)]
        prepared = replace(prepared, findings=(*prepared.findings, *odd))
        store = _open(config, prepared, arms, offered)
        store.fence = fence
        workers = len(runners)
        setup = replace(
            prepared.setup,
            # the workers that share an arm want the same features: one makes them, the others wait
            encoding_threads=threads_each(config, min(workers, len(arms))),
            training_threads=threads_each(config, workers),
        )
        for runner in runners:
            runner.use(setup)
    except BaseException:
        crew.close()
        raise
    try:
        _work(config, watcher, crew, store, arms, prepared, registry, took_in, start)
    except KeyboardInterrupt:
        crew.close()
        _leave(store, start)
        raise
    except BaseException:
        crew.close()
        store.close()
        raise
    _leave(store, start)
    return config


def _heard(watcher: Watcher) -> Callable[[str], None]:
    """What workers say; notes of encoders stay, once each however many workers say them."""
    told: set[str] = set()

    def say(text: str) -> None:
        if not text.startswith(NOTE):
            watcher.saying(text)
        elif text not in told:
            told.add(text)
            watcher.note(text.removeprefix(NOTE))

    return say


def _work(
    config: StudyConfig,
    watcher: Watcher,
    crew: Crew,
    store: StudyStore,
    arms: Sequence[Arm],
    prepared: Prepared,
    registry: Registry,
    took_in: list[Callable[[Outcome], None]],
    start: float,
) -> None:
    """Search, fine-tune, confirm, and what follows from the trials."""
    watcher.data(prepared.setup.dataset.roles, prepared.findings)
    maximise = METRICS[prepared.task.metric].maximise
    clock = Clock(None if config.time is None else SEARCH_SHARE * config.time, start)
    hunt = Search(store, arms, config, crew, watcher, prepared.rows["train"], maximise, clock)
    tuning = FineTuning(store, arms, config, crew, watcher, registry, maximise, clock)
    proof = Confirmation(store, arms, config, crew, watcher, maximise)
    watcher.started(
        [arm.view for arm in arms], {arm.name: hunt.total(arm) for arm in arms},
        config.confirm_seeds, maximise,
    )  # fmt: skip
    begun = told(config, store.facts, arms)
    if begun:
        watcher.note(begun)
    if store.state[0] == "finished":
        watcher.note("this study is finished; nothing is left to train")
    took_in.append(_writing(hunt.ended))
    hunt.run()
    took_in.append(_writing(tuning.ended))
    tuning.run(prepared.setup.device)
    store.set_study(state="confirming")
    took_in.append(_writing(proof.ended))
    proof.run()
    shutil.rmtree(store.folder / CHECKPOINTS, ignore_errors=True)  # nothing is left to go on with
    test, runner = prepared.setup.splits.test, crew.runners[0]
    probing = Probing(store, arms, config, watcher, test)
    _safely(watcher, "what the models rely on", lambda: probing.run(runner))
    _safely(watcher, "examples", lambda: Explaining(store, config, watcher, test).run(runner))
    crew.close()
    watcher.saying("writing the report")
    store.flush()
    _safely(watcher, "the luck of choosing", lambda: _luck(store, maximise))
    _wrap_up(store, arms, maximise, watcher)
    store.set_study(state="finished")


def _leave(store: StudyStore, start: float) -> None:
    facts = {**store.facts, SPENT: store.spent.told()}
    store.set_study(seconds=store.state[1] + time.monotonic() - start, facts=facts)
    store.close()


def _used(config: StudyConfig, task: TaskView) -> dict[str, set[str]]:
    """Modality -> encoders that trials of the stored study chose."""
    store = StudyStore.open(config.folder)
    if store is None:
        return {}
    with closing(store):
        stored = store.trials()
    return {
        key: {str(trial.params[name]) for trial in stored if name in trial.params}
        for key, name in ((key, f"{key}/encoder") for key in task.modalities)
    }


def _offered(config: StudyConfig) -> dict[str, Any]:
    """What the study begins with; a stored one has it among its facts."""
    store = StudyStore.open(config.folder)
    if store is None:
        return earlier_best(config)
    store.close()
    return {}


def _open(
    config: StudyConfig, prepared: Prepared, arms: Sequence[Arm], offered: Mapping[str, Any]
) -> StudyStore:
    """The stored study of this name, or a new one.

    Raises:
        ConfigError: the stored one has another configuration, or the data has changed.
    """
    store = StudyStore.open(config.folder)
    if store is None:
        about = environment(prepared.setup.device)
        facts = {
            "rows": prepared.rows, "learned": prepared.learned(),
            "ceiling": dict(prepared.ceiling),
            "findings": [asdict(found) for found in prepared.findings],
            "roles": [asdict(guess) for guess in prepared.setup.dataset.roles],
            "fingerprint": prepared.fingerprint, "licence": prepared.setup.dataset.licence,
            FACT: dict(offered),
        }  # fmt: skip
        _save_truth(config, prepared)
        write_study_toml(config.folder / "study.toml", config, about, prepared.fingerprint)
        return StudyStore.create(
            config.folder, config.title, config.identity(), prepared.task, facts, about,
            command(config.whole), [arm.view for arm in arms],
            config.storage,
        )  # fmt: skip
    # settings that are newer than the stored study count as their defaults
    stored = from_mapping({**store.config, "name": config.name}).identity()
    changed = difference(stored, config.identity())
    same_data = store.facts["fingerprint"] == prepared.fingerprint
    if changed or not same_data:
        store.close()
        what = "; ".join(changed) or "the rows, labels or splits of the data"
        raise ConfigError(
            f"a study continues only with its own configuration, {config.folder} differs in: "
            f"{what}; use --name for a new study, or --resume {config.name} to continue as it is"
        )
    if config.subgroup:  # answers alone depend on it, so a stored study may be asked anew
        _save_truth(config, prepared)
    # a plugin installed since the study began joins it with arms of its own
    store.add_arms([arm.view for arm in arms])
    return store


def _save_truth(config: StudyConfig, prepared: Prepared) -> None:
    sides = prepared.truth(), prepared.groups(), prepared.ids()
    save_truth(config.folder, *sides, prepared.subgroups())


def _writing(take: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    """``take``, but a disk that takes nothing more ends the search: no trial is at fault.

    The trial stays as it is, and runs again when the search goes on.
    """

    def heed(outcome: Outcome) -> None:
        failure = outcome.failure
        if failure is not None and failure.kind == "disk":
            raise StoreError(
                f"a search needs disks that can be written, a trial found none: {failure.message}; "
                "free space (`mmauto cache` shows what features take), then continue with --resume"
            )
        take(outcome)

    return heed


def _safely(watcher: Watcher, what: str, work: Callable[[], None]) -> None:
    """What comes after confirmation may fail, but never takes the results with it."""
    try:
        work()
    except Exception as error:
        watcher.note(f"{what} could not be told: {error}; trials and confirmations are complete")


def _luck(store: StudyStore, maximise: bool) -> None:
    """What the best trials' scores are worth without the luck of choosing them."""
    primary = store.task.primary
    truth, groups, _ = store.truth()
    luck = optimism_of(
        store.task.metric, store.task.targets[primary], truth["valid"][primary], groups["valid"],
        ((arm, given[primary]) for arm, given in store.validated(maximise) if primary in given),
    )  # fmt: skip
    store.set_study(facts={**store.facts, OPTIMISM: {n: asdict(one) for n, one in luck.items()}})


def _wrap_up(store: StudyStore, arms: Sequence[Arm], maximise: bool, watcher: Watcher) -> None:
    """Importances and Optuna's copy, once the trials are complete."""
    trials = store.trials()
    for arm in arms:
        # a fine-tuned trial has the parameters of another one, and a better value
        own = [t for t in trials if t.arm == arm.name and FINETUNE not in t.params]
        store.set_arm(arm.name, importances=importances(arm, own, maximise))
    store.flush()
    _safely(watcher, "Optuna's copy of the trials", lambda: mirror(store, arms, maximise))
