"""The loss curve in one word, by simple robust statistics; the first thing that a person sees.

Not here: why.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from mlkit.debug.facts import Facts


def symptom_of(facts: Facts) -> str | None:
    """Name what the losses of a program did: see `symptom`."""
    if facts.error is not None:
        return "crashes"
    return symptom([value for _, value in facts.losses])


def symptom(losses: Sequence[float]) -> str | None:
    """``explodes``, ``goes-up``, ``plateaus``, ``slow``, ``falls``; None for fewer than ten losses.

    Medians of tenths are compared, so that noise of single batches does not count.
    """
    if any(not math.isfinite(value) for value in losses):
        return "explodes"
    if len(losses) < 10:
        return None
    part = max(3, len(losses) // 10)
    first, last = losses[:part], losses[-part:]
    start, end = statistics.median(first), statistics.median(last)
    tail = losses[len(losses) // 2 :]
    noise = statistics.median(abs(value - statistics.median(tail)) for value in tail) + 1e-12
    scale = max(abs(start), abs(losses[0]), 1e-12)
    if end > start + 5 * noise and end > 1.5 * start > 0:
        return "explodes" if end > 20 * scale else "goes-up"
    if end > start + 3 * noise:
        return "goes-up"
    fallen = (losses[0] - end) / scale
    if fallen < 0.02:
        return "plateaus"
    return "slow" if fallen < 0.1 else "falls"
