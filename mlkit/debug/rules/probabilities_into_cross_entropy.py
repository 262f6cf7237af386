"""`loss.probabilities-into-cross-entropy`: softmax output fed to a loss that applies log-softmax itself.

Not here: sigmoids before a binary loss (`sigmoid_before_bce`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, number, place


@rule("loss.probabilities-into-cross-entropy")
def check(facts: Facts) -> Iterator[Finding]:
    """Softmax is applied twice: the model returns probabilities, and the loss applies log-softmax to them.

    ``cross_entropy`` takes raw scores. Given probabilities, which all lie between 0 and 1, its own softmax is nearly
    flat: even a perfect prediction costs ln(1 + (C - 1) / e), 0.744 for four classes and 1.461 for ten, and
    gradients are small. Training is slow, the loss stops at that floor, and accuracy may still look fine.

    Proof: the values that enter the loss lie in [0, 1] and sum to 1 along the very axis that the loss normalises, for
    every sample. It does not matter who made them, or where. Log-probabilities (log-softmax, then cross-entropy) pass
    unharmed, since normalising them again changes nothing; they are negative, and quiet here. Sigmoids of several
    classes in a cross-entropy are bounded likewise, and reported as likely.

    Buggy::

        loss = F.cross_entropy(logits.softmax(1), target)

    Fixed::

        loss = F.cross_entropy(logits, target)

    Seen in: Lightning-Universe/lightning-bolts#654; ariecattan/SciCo#2; NVIDIA/DeepLearningExamples#468.
    """
    for kind in ("probabilities", "squashed"):
        for entry in entries(facts, "space", kind):
            classes = int(entry["classes"])
            floor = math.log(1 + (classes - 1) / math.e)
            what = "probabilities" if kind == "probabilities" else "sigmoids"
            yield Finding(
                "loss.probabilities-into-cross-entropy",
                f"{what} enter {entry['loss']}, which applies a softmax itself",
                severity="error" if kind == "probabilities" else "warning",
                site=place(entry),
                evidence={
                    "made by": entry["made"],
                    "lowest": number(entry["lowest"]),
                    "highest": number(entry["highest"]),
                    "classes": classes,
                    "floor of the loss": number(floor),
                },
                mechanism=f"the scores lie within [0, 1] → the second softmax is nearly flat, and gradients are "
                f"small → "
                f"the loss cannot fall below about {floor:.3f}",
                fix="give the loss raw scores: return logits from the model, and apply softmax only to show "
                "probabilities",
                confidence=0.98 if kind == "probabilities" else 0.8,
                explains=(
                    "loss.starts-far-from-chance",
                    "loss.mismatched-task",
                    "step.learning-rate-too-low",
                    "step.learning-rate-too-high",
                    "step.oscillating",
                    "model.vanishing-gradient",
                    "model.too-small",
                ),
            )
