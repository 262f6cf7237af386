"""`loss.wrong-space-into-nll`: probabilities or raw scores where log-probabilities are due.

Not here: cross-entropy, which takes scores (`probabilities_into_cross_entropy`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, number, place


@rule("loss.wrong-space-into-nll")
def check(facts: Facts) -> Iterator[Finding]:
    """The negative log-likelihood is given numbers that are no logarithms of probabilities.

    ``nll_loss`` picks the label's entry and changes its sign, nothing else. Given probabilities the loss starts near
    -1/C and falls to -1; given raw scores it falls without bound, since nothing holds the other classes down. Either
    curve looks solved. The gradient is not that of a likelihood.

    Proof: what enters lies in [0, 1] and sums to 1 along the class axis, or it has positive entries although no
    logarithm was taken; log-probabilities are never positive. Weighted and sub-normalised log-probabilities (focal
    losses, pointer networks) are negative, and quiet. A hand-written likelihood that takes the mean of the label's
    probability or score itself is reported as likely.

    Buggy::

        loss = F.nll_loss(logits.softmax(1), target)

    Fixed::

        loss = F.nll_loss(logits.log_softmax(1), target)

    Seen in: pytorch/pytorch#10033.
    """
    for kind in ("nll", "picked"):
        for entry in entries(facts, "space", kind):
            yield Finding(
                "loss.wrong-space-into-nll",
                f"{entry['space']} enter a negative log-likelihood ({entry['loss']}), which needs log-probabilities",
                severity="error" if kind == "nll" else "warning",
                site=place(entry),
                evidence={"lowest": number(entry["lowest"]), "highest": number(entry["highest"])},
                mechanism="the label's entry is taken with its sign changed, and no logarithm → the gradient is "
                "not that of "
                "a likelihood → the loss is negative and falls, however little is learned",
                fix="log_softmax over the classes before nll_loss, or cross_entropy on the raw scores",
                confidence=0.98 if kind == "nll" else 0.85,
                explains=(
                    "loss.wrong-sign",
                    "loss.starts-far-from-chance",
                    "loss.mismatched-task",
                    "step.learning-rate-too-high",
                    "step.learning-rate-too-low",
                    "step.oscillating",
                    "model.vanishing-gradient",
                    "numeric.exploding-gradient",
                ),
            )
