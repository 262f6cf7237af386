"""Trials at the end: the user's own loop, continued from its first step with one change, where the curve calls for it.

Not here: how a trial runs (`mlkit.debug.trials`, `mlkit.debug.experiment`) and what is concluded (rules).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlkit.debug.symptom import symptom_of
from mlkit.debug.trials import Change

if TYPE_CHECKING:
    from mlkit.debug.session import Session

STEPS = 60


def confirm(session: Session) -> None:
    """Run the trials that the symptom calls for, within the budget; their losses go to ``facts.trials``."""
    facts = session.facts
    kind = symptom_of(facts)
    if kind in (None, "falls", "crashes") or session.parked is None or not session.parked.is_open:
        return
    factors = (0.1, 0.01, 0.001) if kind in ("explodes", "goes-up") else (10.0, 100.0, 0.1)
    changes = [Change("nothing", steps=STEPS), *(Change("lr", factor, steps=STEPS) for factor in factors)]
    for change in changes:
        run_trial(session, change)


def run_trial(session: Session, change: Change) -> None:
    """Run one trial from the parked program, and keep its losses."""
    parked = session.parked
    if parked is None or not parked.is_open:
        return
    outcome = parked.trial(change, seconds=change.seconds + 1.0)
    if outcome.problem is not None:
        session.facts.skipped.append((f"trial {change.name}", outcome.problem))
    elif isinstance(outcome.value, dict):
        session.facts.trials[change.name] = outcome.value
