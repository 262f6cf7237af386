"""`loss.single-unit-softmax`: softmax over an axis of one unit is a constant 1.

Not here: attention weights over one position (`shape.constant-attention`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, place


@rule("loss.single-unit-softmax")
def check(facts: Facts) -> Iterator[Finding]:
    """The prediction is a softmax over one unit: 1 whatever the input, with no gradient.

    Softmax divides by the sum over its axis. Over one unit that is the number itself, so the output is 1 (0 for
    log-softmax, and cross-entropy over one class is 0 for every sample). No weight gets a gradient, the loss is
    flat, and accuracy is the share of positives.

    Proof: the op that made the prediction normalises an axis of size one.

    Buggy::

        model = nn.Sequential(nn.Linear(16, 1), nn.Softmax(dim=1))

    Fixed::

        model = nn.Sequential(nn.Linear(16, 1), nn.Sigmoid())

    Seen in: Stack Overflow 59129802, 34886605, 53971451.
    """
    for entry in entries(facts, "space", "single"):
        what = (
            "cross-entropy over a single class"
            if entry["name"] == "cross_entropy"
            else f"{entry['name']} over a single unit"
        )
        yield Finding(
            "loss.single-unit-softmax",
            f"{what} is constant, whatever the input",
            site=place(entry),
            evidence={"shape": entry["shape"], "value": entry["highest"]},
            mechanism="the axis has one element, which is divided by itself → the output is constant, and no "
            "gradient passes → "
            "the loss is flat",
            fix="one unit: sigmoid (or raw scores into binary_cross_entropy_with_logits); softmax needs one "
            "unit a class",
            confidence=0.99,
            explains=(
                "step.*",
                "model.*",
                "loss.starts-far-from-chance",
                "loss.mismatched-task",
                "loss.unreachable-target",
                "shape.constant-attention",
                "shape.softmax-axis",
            ),
        )
