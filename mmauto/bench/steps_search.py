"""Steps of the search around the training: the store, and asking for candidates."""

from __future__ import annotations

import time

from mmauto.bench.row import Bench
from mmauto.bench.rows_scale import EPOCHS, NUMBERS, Filled, history, one_arm
from mmauto.bench.steps import compared
from mmauto.tuning.optuna_words import distributions, rebuild
from mmauto.tuning.sampler import MOST_TOLD, ask


def storing(bench: Bench) -> list[list[str]]:
    """A trial until it is on disk, by our writer and by Optuna's default storage."""
    import optuna

    ours = Filled(bench.folder / "steps-store")
    fresh = 20 if bench.quick else 200

    def mine() -> float:
        ours.fill(ours.count + fresh)
        return ours.last

    file = bench.folder / "steps-optuna.db"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{file}", direction="maximize", sampler=optuna.samplers.RandomSampler()
    )
    numbers = {f"number_{n}": optuna.distributions.FloatDistribution(0, 1) for n in range(NUMBERS)}

    def theirs() -> float:
        start, trials = time.perf_counter(), 1 if bench.quick else 3
        for _ in range(trials):
            trial = study.ask(dict(numbers))
            for epoch in range(EPOCHS):
                trial.report(0.5, epoch)
            study.tell(trial, 0.5)
        return 1000 * (time.perf_counter() - start) / trials

    line = compared(
        bench, "written behind the search, all that has piled up at once, against Optuna's SQLite",
        f"a trial of {EPOCHS} epochs and {NUMBERS} parameters, with ours its predictions too",
        mine, theirs,
    )  # fmt: skip
    ours.store.close()
    return [line]


def asking(bench: Bench) -> list[list[str]]:
    """A candidate of a generation, with the history capped and with all of it told to TPE."""
    size = 100 if bench.quick else 2000
    arm, config = one_arm(size)
    stored = history(arm, size)
    generation = range(size, size + config.generation)
    study, spread = rebuild(arm, True, stored), distributions(arm.space)

    def mine() -> float:
        start = time.perf_counter()
        ask(arm, config, True, stored, generation)
        return 1000 * (time.perf_counter() - start) / len(generation)

    def theirs() -> float:
        start = time.perf_counter()
        for _ in generation:
            study.ask(dict(spread))
        return 1000 * (time.perf_counter() - start) / len(generation)

    return [
        compared(
            bench, f"TPE told {MOST_TOLD} trials, against Optuna's default told all",
            f"a candidate after {size:,} trials, {len(arm.space)} parameters",
            mine, theirs,
        )
    ]  # fmt: skip
