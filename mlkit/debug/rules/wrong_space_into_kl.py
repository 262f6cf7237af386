"""`loss.wrong-space-into-kl`: arguments of `kl_div` in the wrong space or order, or averaged over the classes too.

Not here: other losses' spaces.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, number, place


@rule("loss.wrong-space-into-kl")
def check(facts: Facts) -> Iterator[Finding]:
    """The Kullback-Leibler divergence is given arguments in the wrong space or order.

    ``kl_div(input, target)`` needs log-probabilities of the student first and probabilities of the teacher second (or
    their logarithms, with ``log_target=True``). With probabilities first the value is negative or tiny, its gradient
    is the same whatever the student says, and the student does not come to match the teacher.

    Proof: the first argument sums to 1 as it is, or has positive entries, which logarithms of probabilities cannot
    have; or the target is in the space that ``log_target`` does not say. Likely only: the first argument is constant
    while the second one is trained (the reverse divergence, which some mean); ``reduction="mean"``, which divides by
    the number of classes as well and makes the loss that many times weaker than ``"batchmean"``.

    Buggy::

        loss = F.kl_div(student.softmax(1), teacher.softmax(1), reduction="batchmean")

    Fixed::

        loss = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")

    Seen in: pytorch/pytorch#5282, #60928; sebastian-hofstaetter/matchmaker#18; lightly-ai/lightly#1341.
    """
    is_wrong = False
    for entry in entries(facts, "space", "kl"):
        is_wrong = True
        yield _finding(
            entry["space"] + " of kl_div",
            "error",
            0.98,
            entry,
            "kl_div takes the logarithm of neither argument itself → its gradient does not depend on how far "
            "the two are "
            "apart → the loss is negative or flat, and the student does not match the teacher",
            "F.kl_div(student_logits.log_softmax(-1), teacher_logits.softmax(-1), reduction='batchmean')",
        )
    if is_wrong:
        return
    for entry in entries(facts, "space", "kl_order"):
        yield _finding(
            "kl_div is given the constant distribution first and the trained one second: the reverse of the "
            "usual divergence",
            "warning",
            0.7,
            entry,
            "the arguments are swapped → the student is drawn to one mode of the teacher → it matches it less well",
            "kl_div(log-probabilities of what is trained, probabilities of what it should match)",
        )
        return
    for entry in entries(facts, "space", "kl_mean"):
        yield _finding(
            "kl_div with reduction='mean' divides by the number of classes too, not only by the batch",
            "warning",
            0.7,
            entry,
            f"the loss and its gradient are {entry['factor']:.0f} times smaller than the divergence → "
            "the term hardly counts, or learning is slow",
            "reduction='batchmean'",
        )


def _finding(message: str, severity: Severity, confidence: float, entry: object, mechanism: str, fix: str) -> Finding:
    assert isinstance(entry, dict)
    return Finding(
        "loss.wrong-space-into-kl",
        message,
        severity=severity,
        site=place(entry),
        evidence={"lowest": number(entry["lowest"]), "highest": number(entry["highest"])},
        mechanism=mechanism,
        fix=fix,
        confidence=confidence,
        explains=(
            "loss.wrong-sign",
            "loss.starts-far-from-chance",
            "step.learning-rate-too-low",
            "step.learning-rate-too-high",
            "step.oscillating",
            "model.vanishing-gradient",
        ),
    )
