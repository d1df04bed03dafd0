"""What a pruner would have done to trials that were trained in full: what it saves, what it costs.

Run a study with ``--pruner none``, and replay its curves with other settings of successive halving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmauto.engine.train_space import FINETUNE
from mmauto.tuning.pruning import ETA, QUANTILE, Halving
from mmauto.views import TrialView

Curves = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Replay:
    """A search with a pruner, beside the same search without one.

    Attributes:
        trained: epochs that each trial would have had, by generation.
        epochs: their sum; ``full`` is that of the unpruned curves.
        winner: place, counted through the generations, of the trial that would be confirmed: the
            best of those trained to their end; ``best`` is its validation metric.
        full_best: the best without pruning.
        regret: how much worse that is, in the metric's own unit; at least 0.
    """

    trained: Sequence[Sequence[int]]
    epochs: int
    full: int
    winner: int
    best: float
    full_best: float
    regret: float

    @property
    def saved(self) -> float:
        """How many times fewer epochs."""
        return self.full / self.epochs


def replay(
    generations: Sequence[Curves],
    maximise: bool,
    steps: int,
    epochs: int,
    eta: int = ETA,
    quantile: float = QUANTILE,
) -> Replay:
    """Prune whole validation curves, generation by generation, as a search would have done.

    Args:
        generations: of each, the curve of each trial as it ended by itself.
        steps, epochs: as for `Halving`.
        quantile: 0 prunes across generations only what is worse than all that passed before.
    """
    earlier: list[tuple[bool, Sequence[float]]] = []
    trained = []
    for curves in generations:
        members = range(len(curves))
        pruner = Halving(maximise, steps, epochs, members, {}, tuple(earlier), eta, quantile)
        alive, lengths = set(members), [0] * len(curves)
        for epoch in range(max(map(len, curves))):
            values = {t: curves[t][epoch] for t in sorted(alive) if epoch < len(curves[t])}
            for trial in values:
                lengths[trial] = epoch + 1
            alive -= {trial for trial, on in pruner.keep(epoch, values).items() if not on}
        earlier += [(t in alive, curves[t][: lengths[t]]) for t in members]
        trained.append(lengths)
    pick = max if maximise else min
    places = [place for place, (complete, _) in enumerate(earlier) if complete]
    winner = pick(places, key=lambda place: pick(earlier[place][1]))
    best = pick(earlier[winner][1])
    full_best = pick(pick(curve) for curves in generations for curve in curves)
    return Replay(
        trained,
        sum(map(sum, trained)),
        sum(len(curve) for curves in generations for curve in curves),
        winner,
        best,
        full_best,
        abs(full_best - best),
    )


def curves_of(trials: Sequence[TrialView]) -> list[Curves]:
    """The generations of one arm's stored trials; only those that ended well."""
    ended = [trial for trial in trials if trial.state in ("complete", "pruned")]
    searched = [trial for trial in ended if trial.curve and FINETUNE not in trial.params]
    numbers = sorted({trial.generation for trial in searched})
    return [[t.curve for t in searched if t.generation == number] for number in numbers]
