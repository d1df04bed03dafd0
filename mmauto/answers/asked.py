"""What kept models answered to changed rows (`mmauto.engine.probe`), with resamples of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmauto.answered import Probes
from mmauto.answers.statistics import Resampled, Scored
from mmauto.engine.metrics import METRICS
from mmauto.engine.thresholds import centred
from mmauto.views import ConfirmationView, StudyView

CLEAN = ""


class Asked:
    """The answers of a study's arms on the same rows.

    Metrics are signed so that more is better, whatever the metric.

    Args:
        view: with probes.
        rows: only the first so many of the rows that were asked about (all by default).
    """

    def __init__(self, view: StudyView, rows: int | None = None):
        assert view.probes is not None
        probes: Probes = view.probes
        primary = view.task.primary
        self.view, self.primary, self.answers = view, primary, probes.answers
        self.size = len(probes.rows) if rows is None else min(rows, len(probes.rows))
        places = probes.rows[: self.size]
        groups = view.groups.get("test")
        spec, truth = view.task.targets[primary], view.truth["test"][primary]
        self.shared = Resampled(
            view.task.metric, spec, truth[places], None if groups is None else groups[places]
        )
        self.sign = 1.0 if METRICS[view.task.metric].maximise else -1.0
        self._cuts = {
            run.arm: run.thresholds.get(primary)
            for run in sorted(view.confirmations, key=lambda run: _value(run, self.sign))
        }
        self._known: dict[tuple[str, str], Scored] = {}

    @property
    def arms(self) -> Sequence[str]:
        """Those that were asked, best on validation first."""
        return [s.arm.name for s in self.view.comparison.standings if s.arm.name in self.answers]

    def keys(self, arm: str) -> list[str]:
        """The modalities that an arm reads."""
        found = [name.split("|")[1] for name in self.answers[arm] if name.startswith("missing|")]
        return list(dict.fromkeys(found))

    def cut(self, arm: str) -> np.ndarray | None:
        """The arm's threshold on the primary target, where it has one."""
        return self._cuts.get(arm)

    def score(self, arm: str, question: str = CLEAN) -> Scored:
        """Of one question (the rows as they are by default)."""
        key = (arm, question)
        if key not in self._known:
            given = self.answers[arm][question][self.primary][: self.size]
            found = self.shared.score(centred(given, self.cut(arm)))
            self._known[key] = Scored(self.sign * found.value, self.sign * found.resamples)
        return self._known[key]

    def mean(self, arm: str, questions: Sequence[str]) -> Scored:
        """The mean over several questions."""
        each = [self.score(arm, question) for question in questions]
        return Scored(
            float(np.mean([one.value for one in each])),
            np.mean([one.resamples for one in each], axis=0),
        )


def combined(parts: Mapping[str, float], scored: Mapping[str, Scored]) -> Scored:
    """A weighted sum: weights by name."""
    return Scored(
        sum(weight * scored[name].value for name, weight in parts.items()),
        np.asarray(sum(weight * scored[name].resamples for name, weight in parts.items())),
    )


def _value(run: ConfirmationView, sign: float) -> tuple[float, int]:
    """The kept model's run is the last by this: of equally good ones that of the first seed."""
    return -np.inf if run.value is None else sign * run.value, -run.seed
