"""`data.split-preprocessing`: train and validation inputs are preprocessed differently."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place, rounded

RATIO = 3.0


@rule("data.split-preprocessing")
def check(facts: Facts) -> Iterator[Finding]:
    """Training and validation inputs are preprocessed differently.

    A normalisation stands in the training transform alone, or only one of the arrays was scaled. Training goes
    well, and validation is scored on numbers of another scale: it is poor for no reason that the model could be
    blamed for.

    Measured: mean and spread of what the model is given in training and in the first evaluation.

    Buggy::

        train = Compose([RandomCrop(16), Normalize(mean, std)])
        val = Compose([CenterCrop(16)])

    Fixed::

        val = Compose([CenterCrop(16), Normalize(mean, std)])

    Healthy look-alikes: a later stretch of a series drifts (its mean moves, its spread hardly), augmentation changes
    spread a little; neither is a factor of three.

    Seen in: JeasunLok/ResNet-pytorch#1; Stack Overflow 53654594, 55786384.
    """
    train = facts.probe("train/data-train-batch")
    splits = evaluation(facts, "data-splits")
    given = part(splits, "given")
    if not train or not given or splits.get("is_training_data") or train.get("calls") != 1:
        return
    one, other = train.get("shape"), given.get("shape")
    if not isinstance(one, tuple) or not isinstance(other, tuple) or len(one) != len(other):
        return
    if len(one) == 2 and one[1] != other[1]:
        return
    before, after = (float(str(values.get("std", 0.0))) for values in (train, given))
    if before <= 0 or after <= 0:
        return
    ratio = max(before / after, after / before)
    shift = abs(float(str(train["mean"])) - float(str(given["mean"]))) / max(before, after)
    is_range = _is_byte_range(train) != _is_byte_range(given) and (ratio > 1.6 and shift > 0.3)
    if ratio < RATIO and not is_range:
        return
    if ratio < 10 and shift < 0.05 and train.get("zeros", 0) != 0:
        return  # sparse inputs: the spread of a batch says little
    yield Finding(
        "data.split-preprocessing",
        f"validation inputs have another scale than training inputs: spread {after:.3g} against {before:.3g}",
        severity="warning",
        site=place(splits.get("site"), splits.get("loader")),
        evidence={
            "training mean": rounded(train["mean"]),
            "training standard deviation": rounded(before),
            "validation mean": rounded(given["mean"]),
            "validation standard deviation": rounded(after),
        },
        mechanism="one part is normalised and the other is not → validation is scored on numbers never trained on → "
        "poor validation that looks like overfitting",
        fix="give both parts the same deterministic preprocessing; only random augmentation belongs to training alone",
        confidence=0.93 if ratio > 2 * RATIO else 0.85,
        explains=("data.class-order", "data.split-overlap"),
    )


def _is_byte_range(values: object) -> bool:
    """Whether all lies in 0 to 1."""
    assert hasattr(values, "get")
    return float(values.get("min", -1.0)) >= 0.0 and float(values.get("max", 2.0)) <= 1.0
