"""The loss curve in one word, by simple robust statistics; the first thing that a person sees.

Not here: why.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from mlkit.debug.curves import chance, optimizers, rises, roughness, series, spread
from mlkit.debug.facts import Facts


def symptom_of(facts: Facts) -> str | None:
    """Name what the losses of a program did: see `symptom`.

    Losses whose height means nothing (of adversaries, of a policy, against targets that the model makes itself) are
    only called ``explodes``, and only once they are not finite.
    """
    if facts.error is not None:
        return "crashes"
    losses = series(facts)
    if any(not math.isfinite(value) for value in losses):
        return "explodes"
    if why_not_judged(facts) is not None:
        return None
    return symptom(losses, chance=chance(facts), is_same_batch=_is_same_batch(facts))


def why_not_judged(facts: Facts) -> str | None:
    """Why the height of the loss says nothing about progress, in words; None where it does."""
    if is_adversarial(facts):
        return "several optimisers step on losses of their own"
    own = facts.probe("train/own_targets")
    if own.get("samples"):
        return "the model draws its own training data"
    if own.get("moving"):
        return "the target is made by a model that moves"
    if own.get("weighs"):
        return "the loss is a likelihood weighted with numbers of either sign"
    losses = series(facts)
    signs = [value > 0 for value in losses[len(losses) // 5 :]]
    flips = sum(a != b for a, b in pairwise(signs))
    if len(signs) >= 10 and flips > 0.25 * len(signs):
        return "the loss is of either sign from step to step"
    return None


def is_adversarial(facts: Facts) -> bool:
    """Whether two optimisers take turns, each on backward passes of its own (as in a GAN, or actor and critic)."""
    many = [one for one in optimizers(facts) if sum(step.optimizer == one.key for step in facts.steps) >= 2]
    if len(many) < 2:
        return False
    busy = {back.step for back in facts.backwards}
    window = min(facts.total_steps, facts.window)
    # Two optimisers after one backward: every second step has none of its own.
    return window >= 4 and len(busy) > 0.75 * window


def _is_same_batch(facts: Facts) -> bool:
    told = facts.trials.get("lr*0")
    return bool(told and told.get("is_same_batch"))


def symptom(losses: Sequence[float], *, chance: float | None = None, is_same_batch: bool = False) -> str | None:
    """One of the words below; None for fewer than ten losses.

    ``explodes``: not finite, or twenty times the first; ``goes-up``; ``oscillates``: rises again and again although the
    batch is the same, or swings back by half of what was gained; ``plateaus``: never under the first loss, or under the
    best constant prediction; ``slow``: falls by less than a tenth; ``too-good``: gone within a few steps; ``falls``.

    Args:
        losses: one a step.
        chance: the loss of the best constant prediction, where it is known.
        is_same_batch: whether every step sees the same data, so that a rise is the step's doing.
    """
    if any(not math.isfinite(value) for value in losses):
        return "explodes"
    if len(losses) < 10:
        return None
    first = losses[0]
    tail = losses[-max(3, len(losses) // 4) :]
    end = statistics.median(losses[-max(3, len(losses) // 10) :])
    scale = max(abs(first), 1e-12)
    above = sum(value > first for value in tail) / len(tail)
    if above > 0.9 and end > first + 0.1 * scale:
        return "explodes" if end > first + 20 * scale else "goes-up"
    if is_same_batch and rises(losses) > 0.25 and roughness(losses) > 0.01:
        return "oscillates"
    if swings_back(losses):
        return "oscillates"
    base = first if chance is None else min(first, chance)
    if (
        above > 0.35
        or first - end < max(0.02 * scale, 2 * spread(losses))
        or (chance is not None and end > base - 0.03 * abs(base))
    ):
        return "plateaus"
    if first - end < 0.1 * scale:
        return "slow"
    if first > 0 and len(losses) >= 40 and max(losses[5:15]) < 1e-3 * first:
        return "too-good"
    return "falls"


def swings_back(losses: Sequence[float]) -> bool:
    """Whether the smoothed loss climbs back by half of what it had gained, twice, or once at the end."""
    width = max(5, len(losses) // 25)
    if len(losses) < 4 * width:
        return False
    smooth = [statistics.fmean(losses[at : at + width]) for at in range(0, len(losses) - width + 1, width)]
    start, best, count, is_up = smooth[0], smooth[0], 0, False
    noise = 4 * spread(losses) / math.sqrt(width)
    for value in smooth[1:]:
        best = min(best, value)
        gained = start - best
        is_high = gained > 0.1 * abs(start) and value - best > max(0.5 * gained, noise)
        count += is_high and not is_up
        is_up = is_high
    return count >= 2 or (count == 1 and is_up)
