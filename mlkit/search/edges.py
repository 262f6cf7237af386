"""Ranges that grow: when the best trials sit at the edge of a range, the optimum may lie beyond it.

Not here: what a dimension's limits are (`mlkit.search.dimensions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlkit.search.dimensions import Dimension, Integer
from mlkit.search.kernel import elite_size
from mlkit.search.space import Space
from mlkit.search.trials import Trial

Side = Literal["low", "high"]
SIDES: tuple[Side, Side] = ("low", "high")
GROWTH = 0.5  # of the range's length; a range of four decades grows by two
MARGIN = 0.1  # the outer tenth of a range is its edge


@dataclass(frozen=True)
class Edge:
    """The best trials sit at the edge of a range.

    Args:
        round: after which it was seen.
        name: of the hyper-parameter.
        side: which edge.
        before: its range then.
        after: its range from then on; the same where it may not grow.
        why: why it did not grow, if it did not.
    """

    round: int
    name: str
    side: Side
    before: Dimension
    after: Dimension
    why: str | None = None

    def __str__(self) -> str:
        if self.why is None:
            return f"{self.name}: best trials at the {self.side} end, widened from {self.before} to {self.after}"
        return f"{self.name}: best trials at the {self.side} end of {self.before}; {self.why}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "round": self.round,
            "name": self.name,
            "side": self.side,
            "before": str(self.before),
            "after": str(self.after),
            "why": self.why,
        }


def edges(space: Space, ranked: Sequence[Trial], *, round_number: int, grow: bool = True) -> list[Edge]:
    """The edges at which the best trials sit, and what the ranges become.

    An edge counts when at least half of the elite, weighted by rank, lies in the outer tenth of the range; or more
    where a range of few whole numbers has its ends there by chance. It does not grow towards where half of the trials,
    two or more, failed, be it in its outer fifth or beyond the elite.

    Args:
        space: in effect.
        ranked: all trials, best first.
        round_number: the round that has ended.
        grow: False to look only.
    """
    feasible = [trial for trial in ranked if trial.feasible]
    failed = [trial for trial in ranked if trial.reason is not None]
    elite = feasible[: elite_size(len(feasible))]
    if len(elite) < 2:
        return []
    weight = np.arange(len(elite), 0, -1.0)
    weight /= weight.sum()
    found: list[Edge] = []
    for _, name, dimension in space.ranges():
        units = np.array([dimension.unit(trial.params[name]) for trial in elite])
        everywhere = np.array([dimension.unit(trial.params[name]) for trial in (*feasible, *failed)])
        is_lost = np.arange(len(everywhere)) >= len(feasible)
        for side in SIDES:
            by_chance = _share_of_an_end(dimension, side)
            needed = max(0.5, min(2 * by_chance, 0.9))
            outward = units if side == "high" else 1 - units
            at_edge = outward > 1 - max(MARGIN, by_chance)
            if float(weight[at_edge].sum()) < needed:
                continue
            everyone = everywhere if side == "high" else 1 - everywhere
            # The elite may crowd right before a cliff: then those beyond it tell, not all that are near.
            parts = (everyone > 1 - 2 * MARGIN, everyone > outward.max())
            beyond_failed = any(_mostly_failed(is_lost[part]) for part in parts)
            found.append(_edge(round_number, name, side, dimension, grow=grow, beyond_failed=beyond_failed))
    return found


def _mostly_failed(is_lost: npt.NDArray[np.bool_]) -> bool:
    fails = int(is_lost.sum())
    return fails >= 2 and 2 * fails >= len(is_lost)


def _edge(round_number: int, name: str, side: Side, dimension: Dimension, *, grow: bool, beyond_failed: bool) -> Edge:
    below, above = (GROWTH, 0.0) if side == "low" else (0.0, GROWTH)
    after = dimension.grown(below, above)
    why = None
    if after == dimension:
        why = "at its limit" if getattr(dimension, "grow", True) else "not widened, as grow=False says"
    elif beyond_failed:
        why = "not widened, since half of the trials failed there"
    elif not grow:
        why = f"widen it to {after} next time"
    return Edge(round_number, name, side, dimension, dimension if why else after, why)


def widened(space: Space, found: Sequence[Edge]) -> Space:
    """The space with all ranges as they are after these edges."""
    after: dict[str, Dimension] = {}
    for edge in found:
        # Both ends of one range can be edges; then each grows by itself.
        now = after.get(edge.name, edge.before)
        below, above = (GROWTH, 0.0) if edge.side == "low" else (0.0, GROWTH)
        after[edge.name] = now if edge.why else now.grown(below, above)
    return space.changed(after)


def _share_of_an_end(dimension: Dimension, side: Side) -> float:
    """The share of [0, 1] that belongs to the last value of a range of whole numbers; 0 for others."""
    if not isinstance(dimension, Integer):
        return 0.0
    # At 1 to 8 on a log scale, 1 has two fifths of the range and 8 a twentieth.
    step = dimension.multiple / 2
    return dimension.unit(dimension.low + step) if side == "low" else 1 - dimension.unit(dimension.high - step)
