"""`loss.sigmoid-before-bce-with-logits`: sigmoid output fed to a loss that applies the sigmoid itself.

Not here: softmax before cross-entropy (`probabilities_into_cross_entropy`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, number, place


@rule("loss.sigmoid-before-bce-with-logits")
def check(facts: Facts) -> Iterator[Finding]:
    """The sigmoid is applied twice: the prediction is a probability, and the loss takes it for a logit.

    ``binary_cross_entropy_with_logits`` (and a hand-written loss that calls ``sigmoid`` or ``logsigmoid``) takes raw
    scores. A probability taken for a score lies between 0 and 1, so what the loss sees lies between 0.5 and 0.731: a
    negative never costs less than 0.693, a positive never less than 0.313, and gradients are four times too small.

    Proof: the very tensor that enters was made by a sigmoid or softmax (or holds the sigmoids of an earlier tensor),
    with nothing but a change of shape, type or limits between. A gate within the model, and a sigmoid that is scaled
    afterwards, are quiet.

    Buggy::

        loss = F.binary_cross_entropy_with_logits(torch.sigmoid(score), target)

    Fixed::

        loss = F.binary_cross_entropy_with_logits(score, target)

    Seen in: itakurah/focal-loss-pytorch#5; NVIDIA-Merlin/models#1175; avBuffer/UNet3plus_pth#23.
    """
    for entry in entries(facts, "space", "sigmoids"):
        is_loss = entry["loss"] == "binary_cross_entropy_with_logits"
        yield Finding(
            "loss.sigmoid-before-bce-with-logits",
            f"the output of {entry['made']} enters {entry['loss']}, which applies a sigmoid itself",
            site=place(entry),
            evidence={
                "made by": entry["made"],
                "lowest": number(entry["lowest"]),
                "highest": number(entry["highest"]),
            },
            mechanism="a probability is taken for a logit → what the loss sees lies within 0.5 and 0.731 → "
            "the loss stops at a floor (0.693 for negatives, 0.313 for positives)",
            fix="give the loss the raw score, and apply the sigmoid only to show probabilities",
            confidence=0.98 if is_loss else 0.96,
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
