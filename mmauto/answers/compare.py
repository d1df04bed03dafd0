"""Temporary."""

from mmauto.views import Comparison, Standing, Interval, Costs
from mmauto.engine.metrics import METRICS, score
import numpy as np


def compare(task, arms, trials, confirmations, truth, groups, ceiling=None):
    st = []
    for a in arms:
        runs = [c for c in confirmations if c.arm == a.name and c.failure is None]
        if not runs:
            continue
        v = float(np.mean([c.value for c in runs]))
        t = float(
            np.mean(
                [
                    score(
                        task.metric,
                        task.targets[task.primary],
                        truth["test"][task.primary],
                        c.test[task.primary],
                    )
                    for c in runs
                ]
            )
        )
        st.append(
            Standing(
                a,
                0,
                v,
                Interval(t, t, t),
                None,
                {},
                runs[0].costs,
                len(runs),
                sum(x.arm == a.name for x in trials),
                0,
            )
        )
    st.sort(key=lambda s: -s.validation)
    return Comparison(
        task.metric,
        task.primary,
        True,
        tuple(st),
        st[0].arm.name if st else None,
        None,
        ("temporary",),
    )


def leaderboard_rows(c):
    return [
        {"arm": s.arm.name, "validation": s.validation, "test": s.test.value} for s in c.standings
    ]
