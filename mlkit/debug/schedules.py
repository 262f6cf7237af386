"""The learning rates that a schedule would have given, had it been stepped once after every optimiser step.

Played in a forked child on the program's own scheduler, so that any kind and any lambda can be played.
Not here: whether it was stepped at the right moments (`step.schedule-mistimed`).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from mlkit.debug import experiment

if TYPE_CHECKING:
    from mlkit.debug.session import Session

PLAYED_LIMIT = 20_000


def play_schedules(session: Session) -> None:
    """Add ``end/schedules`` to the probes: key of a scheduler -> its rates over as many steps as its optimiser took."""
    facts = session.facts
    if experiment.obstacle() or experiment.is_child():
        return
    played: dict[str, list[float]] = {}
    for scheduler, key in session.schedulers.live():
        note = facts.schedulers[key]
        optimizer = facts.optimizers.get(note.optimizer) if note.optimizer is not None else None
        count = min(optimizer.steps, PLAYED_LIMIT) if optimizer is not None else 0
        if count < 20 or note.calls == 0 or note.calls > 0.7 * count or note.kind == "ReduceLROnPlateau":
            continue

        def play(scheduler: Any = scheduler, count: int = count) -> list[float]:
            return rates(scheduler, count)

        outcome = experiment.measure(play, seconds=1.0)
        if isinstance(outcome.value, list):
            played[str(key)] = outcome.value
    if played:
        facts.probes["end/schedules"] = played


def rates(scheduler: Any, count: int) -> list[float]:
    """Rates of the first group over ``count`` steps from the schedule's start; changes the scheduler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group in scheduler.optimizer.param_groups:
            if "initial_lr" in group:
                group["lr"] = group["initial_lr"]
        scheduler.last_epoch = -1
        scheduler._step_count = 0
        found = []
        for _ in range(count):
            try:
                scheduler.step()
            except ValueError:  # a one-cycle schedule that is over
                break
            found.append(float(scheduler.optimizer.param_groups[0]["lr"]))
    return found
