"""Every metric of one arm on the scored rows, with its interval."""

from __future__ import annotations

from mmauto.answers.statistics import Resampled
from mmauto.answers.sums import RANKINGS
from mmauto.engine.metrics import METRICS
from mmauto.engine.thresholds import at_half
from mmauto.views import Interval, StudyView


def scores_of(view: StudyView, arm: str) -> dict[str, Interval]:
    """Metric -> mean over seeds on the primary target, with its 95 % interval."""
    primary = view.task.primary
    spec, truth = view.task.targets[primary], view.truth["test"][primary]
    found = {}
    for name, metric in METRICS.items():
        if spec.kind in metric.kinds:
            shared = Resampled(name, spec, truth, view.groups.get("test"))
            known = view.confirmations if name in RANKINGS else view.decisions
            runs = [run for run in known if run.arm == arm and primary in run.test]
            given = [at_half(run, primary) for run in runs]
            found[name] = shared.mean([shared.score(one) for one in given])
    return found
