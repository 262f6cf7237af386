"""`data.imbalance`: one class dominates and the metric hides it."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, place, rounded

DOMINATES = 0.9


@rule("data.imbalance")
def check(facts: Facts) -> Iterator[Finding]:
    """One class dominates, nothing weighs against it, and the program looks at hard decisions.

    With 97% of one class, always answering it is 97% right. The loss falls, the accuracy is high, and the classes that
    matter are never found.

    Measured: the share of the largest class among the training labels; neither loss nor sampler weighs; at
    evaluation the outputs are turned into classes, and the largest one is answered even more often than it occurs.

    Buggy::

        loader = DataLoader(train_set, 64, shuffle=True)
        accuracy = (model(x).argmax(1) == y).float().mean()

    Fixed::

        loader = DataLoader(train_set, 64, sampler=WeightedRandomSampler(1 / counts[y], len(y)))
        # or CrossEntropyLoss(weight=...), and balanced accuracy, F1, or average precision as the score

    Healthy look-alikes: weights in the loss or the sampler, losses that are not torch's (focal loss), scores of ranks
    (average precision, AUC) on probabilities; a program that computes a score in which the rare class counts.

    Seen in: Stack Overflow 59196793, 53358838.
    """
    labels = facts.probe("train/data-labels")
    counts, read = labels.get("counts"), labels.get("read")
    if not isinstance(counts, list) or not isinstance(read, int) or read < 200 or labels.get("has_weights"):
        return
    share = max(counts) / read
    used = [number for number, count in enumerate(counts) if count]
    if share < DOMINATES or len(used) < 2:
        return
    predicted = evaluation(facts, "data-decisions")
    found = float(str(predicted.get("largest_share", 0.0)))
    is_blind = bool(predicted.get("is_hard")) and not predicted.get("minds_classes") and 1 - found < 0.7 * (1 - share)
    largest = counts.index(max(counts))
    yield Finding(
        "data.imbalance",
        f"{share:.0%} of the training labels are class {largest}"
        + (", nothing weighs against it, and the model answers it even more often" if is_blind else ""),
        severity="warning" if is_blind else "info",
        site=place(labels.get("loader"), labels.get("head")),
        evidence={
            "share of the largest class": rounded(share, 3),
            "counts": counts[:12],
            "predicted as the largest": rounded(predicted.get("largest_share", 0.0), 4),
        },
        mechanism="the rare classes hardly count in the loss → always answering the common one is nearly best → "
        "high accuracy, "
        "nothing found",
        fix="weigh the classes (loss weight or WeightedRandomSampler), and score with balanced accuracy or "
        "average precision",
        confidence=0.8,
    )
