"""Back in time to where numbers stopped being finite: the parked program repeats its steps, and the last one is traced.

Not here: what an op did (`mlkit.debug.culprit`), and the verdict (`mlkit.debug.rules`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlkit.debug.trials import Change

if TYPE_CHECKING:
    from mlkit.debug.session import Session

SECONDS = 8.0


def locate(session: Session) -> None:
    """If a loss or gradient became non-finite, find the op that did it; kept as ``facts.trials["locate"]``."""
    facts = session.facts
    index = next((number for number, (_, value) in enumerate(facts.losses) if not math.isfinite(value)), None)
    bad_step = next((step.step for step in facts.steps if step.non_finite), None)
    if bad_step is not None:  # the gradient of the last backward before that step
        before = [number for number, (step, _) in enumerate(facts.losses) if step <= bad_step]
        index = min(before[-1] + 1 if before else 0, index if index is not None else 1 << 60)
    if index is None or session.parked is None or not session.parked.is_open:
        return
    change = Change("locate", float(index), steps=index + 8, seconds=SECONDS)
    outcome = session.parked.trial(change, seconds=SECONDS + 1.0)
    if outcome.problem is not None:
        facts.skipped.append(("where numbers stopped being finite", outcome.problem))
    elif isinstance(outcome.value, dict) and "op" in outcome.value:
        facts.trials["locate"] = {**outcome.value, "index": index}
