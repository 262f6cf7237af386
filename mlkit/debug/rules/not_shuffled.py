"""`data.not-shuffled`: sorted training data read in order."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import place, rounded


@rule("data.not-shuffled")
def check(facts: Facts) -> Iterator[Finding]:
    """Training reads sorted data in its stored order.

    The examples lie class by class (folders, sorted files), and the loader does not shuffle: a batch holds one
    class, the model learns to answer the class of the moment and forgets the others. The loss saws within each
    epoch.

    Measured: the loader reads in order, and neighbours share their label far more often than any two examples do.

    Buggy::

        DataLoader(train_set, batch_size=32)

    Fixed::

        DataLoader(train_set, batch_size=32, shuffle=True)

    Healthy look-alikes: a data set whose stored order is already mixed; a series with a real-valued target, read in
    time order on purpose.

    Seen in: Deci-AI/super-gradients#416; ultralytics/yolov5#2582; choderalab/modelforge#129.
    """
    labels = facts.probe("train/data-labels")
    alike, chance, pairs = labels.get("neighbours_alike"), labels.get("any_two_alike"), labels.get("pairs")
    if not isinstance(alike, float) or not isinstance(chance, float) or not isinstance(pairs, int):
        return
    if chance > 0.95 or pairs < 30:
        return
    deviation = (chance * (1 - chance) / pairs) ** 0.5
    if alike < 0.5 + 0.5 * chance or alike - chance < 5 * deviation:
        return
    yield Finding(
        "data.not-shuffled",
        "training reads its examples in stored order, and they lie class by class",
        severity="warning",
        site=place(labels.get("order_site"), labels.get("site")),
        evidence={
            "neighbours of one class": rounded(alike, 3),
            "any two of one class": rounded(chance, 3),
            "pairs looked at": pairs,
        },
        mechanism="batches of one class → each step teaches one answer and unlearns the others → a loss that saws, and "
        "the last class wins",
        fix="DataLoader(train_set, ..., shuffle=True)",
        confidence=0.95,
        explains=("step.oscillating", "mode.batchnorm-tiny-batch", "step.learning-rate-too-high"),
    )
