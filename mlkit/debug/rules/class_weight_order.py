"""`loss.class-weight-order`: class weights do not match the class indices.

Not here: imbalance without weights (`data.imbalance`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import measured, number, place

CLEAR = 2.0
"""A class is clearly rarer from this ratio on: below, counts of a sample are not sure enough."""


@rule("loss.class-weight-order")
def check(facts: Facts) -> Iterator[Finding]:
    """The weights of the classes fit the class counts in another order than the labels have.

    Weights that should make up for rare classes were computed over names sorted another way than the labels are
    numbered. The common class gets the weight of a rare one. The loss falls; the rare classes are never predicted.

    Proof: sorted, weights and class counts fit the rule "weight times a power of the count is constant"; by index they
    do not, and a clearly more common class has a clearly larger weight than a rarer one. Weights of any other kind
    (costs chosen by hand) are quiet, and so are those that follow the counts. ``pos_weight`` is negatives over
    positives; the inverse of that is reported likewise.

    Buggy::

        weights = total / [counts[name] for name in sorted(counts)]      # labels are numbered by CLASSES

    Fixed::

        weights = total / [counts[name] for name in CLASSES]

    Seen in: Stack Overflow 46202839, 44454158.
    """
    for found in measured(facts, "weights"):
        weights = [float(one) for one in found["weights"]]
        counts = _counts(facts, found)
        if found["kind"] == "positive":
            yield from _positive(found, weights[0], counts)
            continue
        if len(weights) != len(counts) or len(weights) < 2 or min(counts, default=0) <= 0 or min(weights) <= 0:
            continue
        swapped = _swapped(weights, counts)
        power = _power(sorted(weights), sorted(counts, reverse=True))
        if swapped is None or power is None:
            continue
        common, rare = swapped
        fits_as_is = _power(*_by_count(weights, counts))
        if fits_as_is is not None:
            continue
        yield Finding(
            "loss.class-weight-order",
            f"class weights are in another order than the class indices: class {common} is the more common one "
            f"and weighs "
            f"more than class {rare}",
            severity="error" if abs(power - 1) < 0.15 or abs(power - 0.5) < 0.08 else "warning",
            site=place(found),
            evidence={
                "weights": [number(one) for one in weights[:20]],
                "class counts": [int(one) for one in counts[:20]],
                "fits if sorted, with power": number(power),
            },
            mechanism="a common class has the weight of a rare one → errors on rare classes hardly count → "
            "the loss falls, and rare classes are not found",
            fix="compute the weights from the labels as the loss gets them: torch.bincount(labels)",
            confidence=0.95,
            explains=("data.imbalance", "loss.starts-far-from-chance"),
        )
        return


def _counts(facts: Facts, found: object) -> list[int]:
    """Of the whole training set where they are known, else of the batch."""
    assert isinstance(found, dict)
    told = facts.probe("train/data-labels").get("counts")
    if isinstance(told, list) and (found["kind"] == "positive" or len(told) == len(found["weights"])):
        return [int(one) for one in told]
    counts = [int(one) for one in found["counts"]]
    return counts if sum(counts) >= 200 else []


def _swapped(weights: Sequence[float], counts: Sequence[int]) -> tuple[int, int] | None:
    """A clearly more common class with a clearly larger weight than a rarer one, the clearest such pair."""
    pairs = [
        (weights[a] / weights[b] * counts[a] / counts[b], a, b)
        for a in range(len(weights))
        for b in range(len(weights))
        if counts[a] >= CLEAR * counts[b] and weights[a] >= 1.3 * weights[b]
    ]
    return max(pairs)[1:] if pairs else None


def _by_count(weights: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[int]]:
    order = sorted(range(len(counts)), key=lambda index: -counts[index])
    return [weights[index] for index in order], [counts[index] for index in order]


def _power(weights: Sequence[float], counts: Sequence[int]) -> float | None:
    """The power p for which weight x count^p is constant (within a quarter), for weights and counts in this order."""
    x, y = [math.log(one) for one in counts], [math.log(one) for one in weights]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    variance = sum((one - mean_x) ** 2 for one in x)
    if variance < 0.1:
        return None
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / variance
    worst = max(abs(b - mean_y - slope * (a - mean_x)) for a, b in zip(x, y, strict=True))
    return -slope if -slope > 0.2 and worst < math.log(1.25) * max(1.0, -slope) else None


def _positive(found: object, weight: float, counts: Sequence[int]) -> Iterator[Finding]:
    assert isinstance(found, dict)
    if len(counts) != 2 or min(counts) <= 0 or weight <= 0:
        return
    due = counts[0] / counts[1]
    if abs(math.log(due)) < math.log(CLEAR) or abs(math.log(weight) + math.log(due)) > math.log(1.15):
        return
    yield Finding(
        "loss.class-weight-order",
        f"pos_weight is upside down: positives over negatives ({weight:.3g}) where negatives over positives "
        f"({due:.3g}) is due",
        site=place(found),
        evidence={"pos_weight": number(weight), "negatives": counts[0], "positives": counts[1]},
        mechanism="the rare class is weighed down further → it hardly counts → the loss falls, and it is not found",
        fix="pos_weight = negatives / positives",
        confidence=0.95,
        explains=("data.imbalance", "loss.starts-far-from-chance"),
    )
