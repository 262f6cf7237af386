"""Which members train together, and by what: the cohorts of a population.

Not here: measuring back ends (`mlkit.population.probe`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mlkit.errors import ConfigError, did_you_mean
from mlkit.population.backend import NAMES, BackendName
from mlkit.population.buckets import buckets_of
from mlkit.population.cohort import Choice, Cohort
from mlkit.population.course import Course
from mlkit.population.probe import choose
from mlkit.population.processes import obstacle
from mlkit.population.run import Run

BackendWish = BackendName | Literal["auto"]


def plan_cohorts(
    runs: Sequence[Run], course: Course, wish: BackendWish, *, workers: int | None = None, legs: int = 1
) -> list[Cohort]:
    """The cohorts of fresh runs.

    Args:
        runs: the members.
        course: what they share.
        wish: a back end for all, or ``"auto"``.
        workers: processes at a time.
        legs: parts that rungs cut the run into; worker processes are started anew for each.

    Raises:
        ConfigError: an unknown back end, or one that this machine does not have.
        CannotStackError: the back end that was asked for cannot train these members.
    """
    check_wish(wish, course)
    if wish in ("loop", "processes"):
        return [Cohort(runs, course, Choice(wish, "as asked for", workers=workers))]
    buckets, loose = buckets_of(runs, course)
    if wish != "auto":
        cohorts = [
            Cohort(bucket, course, Choice(wish, "as asked for", is_wish=True))
            for bucket in [*buckets, *([run] for run in loose)]
        ]
        for cohort in cohorts:
            cohort.started()  # which fails now, not later
        return cohorts
    # A stack of one only costs: such members can still go side by side in processes.
    alone = sorted([bucket[0] for bucket in buckets if len(bucket) == 1] + loose, key=lambda run: run.index)
    groups = [(bucket, True) for bucket in buckets if len(bucket) > 1] + ([(alone, False)] if alone else [])
    return [
        Cohort(group, course, choose(group, course, can_stack=can_stack, workers=workers, legs=legs))
        for group, can_stack in groups
    ]


def check_wish(wish: str, course: Course) -> None:
    """Refuse what is no back end, or none that can be used here.

    Raises:
        ConfigError: with what could be asked for.
    """
    allowed = ", ".join(("auto", *NAMES))
    if wish not in ("auto", *NAMES):
        raise ConfigError("unknown back end", received=repr(wish), allowed=allowed, todo=did_you_mean(wish, NAMES))
    why = obstacle(course) if wish == "processes" else None
    if why is not None:
        raise ConfigError("processes cannot be used here", received=why, allowed=allowed, todo="take backend='auto'")
