"""`data.constant-feature`: features that carry nothing."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place


@rule("data.constant-feature")
def check(facts: Facts) -> Iterator[Finding]:
    """A feature never varies in training, and is blown up where it does.

    A constant column has deviation 0 (or 1e-8 with a guard): divided by it, the slightest change in validation
    becomes a huge number, or NaN. Without such a division a constant column is only useless.

    Measured: columns of the training table that are constant, against the largest value of a validation batch.

    Buggy::

        x = (x - x.mean(0)) / (x.std(0) + 1e-8)

    Fixed::

        keep = x.std(0) > 1e-6
        x = (x[:, keep] - x.mean(0)[keep]) / x.std(0)[keep]

    Healthy look-alikes: border pixels that are always black, one-hot columns of rare values: nothing is told of them.

    Seen in: Stack Overflow 51835124.
    """
    values = facts.probe("train/data-values")
    constant = values.get("constant")
    given = part(evaluation(facts, "data-splits"), "given")
    if not isinstance(constant, list) or not constant or not given:
        return
    train = facts.probe("train/data-train-batch")
    largest = max(abs(float(given.get("max", 0))), abs(float(given.get("min", 0))))
    usual = max(abs(float(str(train.get("max", 0)))), abs(float(str(train.get("min", 0)))), 1.0)
    if largest < 1000 * usual:
        return
    yield Finding(
        "data.constant-feature",
        f"feature {constant[0]} never varies in training, and validation inputs reach {largest:.2g}",
        severity="warning",
        site=place(values.get("site")),
        evidence={"constant features": constant, "largest in training": usual, "largest in validation": largest},
        mechanism="divided by a deviation of (nearly) zero → any change becomes a huge input → wild validation outputs",
        fix="drop constant columns, or std = np.where(std < 1e-6, 1, std)",
        confidence=0.85,
        explains=("data.split-preprocessing",),
    )
