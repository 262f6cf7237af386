"""Loss curves and what a change did to them, by medians and shares of values: no threshold on a single batch's loss.

Not here: the curve in one word (`mlkit.debug.symptom`), the trials themselves, and what is concluded from them (rules).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlkit.debug.facts import Facts, OptimizerFacts

FACTORS = (0.1, 0.01, 0.001, 1e-4, 1e-5)
"""Of smaller learning rates that are tried on a loss that explodes; the last two where the first three explode too."""
ENOUGH = 12
"""Losses below which nothing is said of a trial."""


def series(facts: Facts) -> list[float]:
    """One loss a step: the mean of all backward calls before it (micro-batches, several terms)."""
    return per_step(facts.losses)


def per_step(losses: Sequence[tuple[int, float]]) -> list[float]:
    """The mean loss of each step, in order.

    >>> per_step([(0, 2.0), (0, 4.0), (1, 1.0)])
    [3.0, 1.0]
    """
    groups: dict[int, list[float]] = {}
    for step, value in losses:
        groups.setdefault(step, []).append(value)
    return [sum(group) / len(group) for group in groups.values()]


def level(values: Sequence[float]) -> float:
    """Where a curve ends: the median of its last third; infinite where a value of it is not finite."""
    tail = last_third(values)
    return statistics.median(tail) if tail and all(math.isfinite(one) for one in tail) else math.inf


def spread(values: Sequence[float]) -> float:
    """Robust deviation within the last third, its trend taken out."""
    tail = last_third(values)
    steps = [abs(b - a) for a, b in pairwise(tail)]
    # Differences of neighbours are free of the trend; of white noise they are 1.41 times as wide as the noise.
    return 1.48 * statistics.median(steps) / 1.41 if steps and all(map(math.isfinite, steps)) else 0.0


def last_third(values: Sequence[float]) -> Sequence[float]:
    """The last third of a curve, three values at least."""
    return values[-max(3, len(values) // 3) :]


def rises(values: Sequence[float]) -> float:
    """Share of steps after which the loss is higher, in the last two thirds."""
    tail = values[len(values) // 3 :]
    return sum(b > a for a, b in pairwise(tail)) / max(1, len(tail) - 1)


def roughness(values: Sequence[float]) -> float:
    """Deviation from a running median of seven, in units of that median, in the last two thirds."""
    tail = values[len(values) // 3 :]
    found = []
    for middle in range(3, len(tail) - 3):
        centre = statistics.median(tail[middle - 3 : middle + 4])
        found.append(abs(tail[middle] - centre) / (abs(centre) + 1e-12))
    return statistics.median(found) if found else 0.0


@dataclass(frozen=True)
class Trials:
    """The control and one changed continuation, cut to the steps that both have.

    Args:
        name: of the change.
        start: the loss at the step from which both go on.
        control: with nothing changed.
        changed: with the change.
    """

    name: str
    start: float
    control: Sequence[float]
    changed: Sequence[float]

    @property
    def without(self) -> float:
        return level(self.control)

    @property
    def with_it(self) -> float:
        return level(self.changed)

    @property
    def noise(self) -> float:
        return spread(self.changed)

    @property
    def is_clear(self) -> bool:
        """Whether nearly all of the last losses are lower than the control's of the same step, so the same batch."""
        if not math.isfinite(self.without):
            return True
        pairs = self._pairs
        return sum(one > 0 for one in pairs) > 0.9 * len(pairs)

    @property
    def is_ahead(self) -> bool:
        """Whether three of four of the last losses are lower than the control's of the same step."""
        pairs = self._pairs
        return sum(one > 0 for one in pairs) > 0.75 * len(pairs)

    @property
    def lead(self) -> float:
        """By how much the changed loss is lower than the control's at the same step; the batches' own noise cancels."""
        return statistics.median(self._pairs) if math.isfinite(self.without) else math.inf

    @property
    def _pairs(self) -> list[float]:
        both = zip(last_third(self.control), last_third(self.changed), strict=True)
        return [control - changed for control, changed in both]

    def gain(self, floor: float) -> float:
        """How far below ``floor`` the change brings the loss."""
        return floor - self.with_it

    def is_cured(self, floor: float, *, times: float) -> bool:
        """Whether the loss falls clearly below ``floor`` with the change, and ``times`` less so without it."""
        gain = self.gain(floor)
        if not math.isfinite(self.with_it) or not self.is_clear or gain < 0.03 * abs(floor):
            return False
        return floor - self.without < gain / times


def trial(facts: Facts, name: str) -> Trials | None:
    """A trial next to the control; None where either did not run or is too short."""
    control, changed = _losses(facts.trials.get("nothing")), _losses(facts.trials.get(name))
    count = min(len(control), len(changed))
    if not control and len(changed) < ENOUGH:
        return None
    if count < ENOUGH:
        return None
    return Trials(name, control[0], control[:count], changed[:count])


def _losses(answer: Mapping[str, object] | None) -> list[float]:
    if answer is None:
        return []
    losses, steps = answer.get("losses"), answer.get("steps")
    if not isinstance(losses, list):
        return []
    if isinstance(steps, list) and len(steps) == len(losses):
        return per_step(list(zip(steps, losses, strict=True)))
    return losses


def chance(facts: Facts) -> float | None:
    """The loss of the best constant prediction for the first batch, or None where it is not known."""
    value = facts.probe("train/chance").get("chance")
    return float(value) if isinstance(value, float) and math.isfinite(value) else None


def floor(facts: Facts) -> float | None:
    """What a model that has learned nothing scores: the first loss, or that of the best constant if it is lower."""
    losses = series(facts)
    if not losses or not math.isfinite(losses[0]):
        return None
    known = chance(facts)
    return losses[0] if known is None else min(losses[0], known)


def optimizers(facts: Facts) -> list[OptimizerFacts]:
    """Those that stepped, each group of parameters once."""
    return [one for one in facts.optimizers.values() if one.steps and one.same_parameters_as is None]


def setting(optimizer: OptimizerFacts, name: str) -> float:
    """The largest value of a setting among an optimiser's groups; 0 where it has none."""
    values = [group.get(name) for group in optimizer.groups]
    return max(
        (float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)), default=0.0
    )


def decay_share(facts: Facts) -> float:
    """How weight decay compares with the data: its pull over the gradient at the first step, or all that it takes."""
    best = 0.0
    for optimizer in optimizers(facts):
        decay, rate = setting(optimizer, "weight_decay"), setting(optimizer, "lr")
        step = next((one for one in facts.steps if one.optimizer == optimizer.key), None)
        if decay <= 0 or step is None:
            continue
        if optimizer.kind in ("AdamW", "NAdamW") or any(g.get("decoupled_weight_decay") for g in optimizer.groups):
            best = max(best, 1 - math.exp(-min(50.0, rate * decay * optimizer.steps)))
            continue
        weights = math.sqrt(sum(one * one for one in step.weights.values()))
        gradient = math.sqrt(
            sum(
                norm * norm
                for key, norm in step.gradients.items()
                if key in step.weights and norm is not None and math.isfinite(norm)
            )
        )
        best = max(best, decay * weights / max(gradient, 1e-12))
    return best
