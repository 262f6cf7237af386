"""`loss.unreachable-target`: the output activation cannot reach the targets.

Not here: targets that the loss itself does not allow (`target_domain`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, number, place


@rule("loss.unreachable-target")
def check(facts: Facts) -> Iterator[Finding]:
    """The last activation cannot give the numbers that the targets ask for.

    A ReLU gives nothing below 0, a sigmoid nothing outside 0 to 1, tanh nothing outside -1 to 1. Targets beyond are
    never met: the loss stops at the error of clipping them, and with an unlucky start a ReLU gives 0 for every
    sample and gets no gradient at all.

    Proof: the range of the last activation, carried through what scales it, against the targets of the batch. A few
    targets just outside (noise) are quiet, and so is a bounded output whose targets were scaled to fit.

    Buggy::

        model = nn.Sequential(..., nn.Linear(64, 1), nn.ReLU())     # for targets of zero mean

    Fixed::

        model = nn.Sequential(..., nn.Linear(64, 1))

    Seen in: ProteomicsML/ProteomicsML#203; Stack Overflow 60801900; hunkim/PyTorchZeroToAll#4.
    """
    for entry in entries(facts, "reach", "reach"):
        share, lost = entry["share"], entry["lost"]
        is_proven = share >= 0.05 and lost >= 0.02
        if not is_proven and lost < 0.01:
            continue
        low, high = entry["low"], entry["high"]
        limits = (
            f"below {low:g}"
            if not math.isfinite(high)
            else f"above {high:g}"
            if not math.isfinite(low)
            else f"outside {low:g} to {high:g}"
        )
        is_logit = entry["loss"] == "binary_cross_entropy_with_logits"
        needs = "logits of the classes need" if is_logit else f"{share:.0%} of the targets are"
        yield Finding(
            "loss.unreachable-target",
            f"{entry['activation']} at the output gives nothing {limits}, but {needs} {'it' if is_logit else 'there'}",
            severity="error" if is_proven else "warning",
            site=place(entry),
            evidence={
                "targets out of reach": number(share),
                "lowest target": number(entry["lowest"]),
                "highest target": number(entry["highest"]),
                "error that must remain, in variances of the target": number(lost) if math.isfinite(lost) else None,
            },
            mechanism="the activation limits the output → these targets are never met → the loss stops at the "
            "error of clipping them",
            fix="no activation after the last layer, or targets scaled into its range",
            confidence=0.97 if is_proven else 0.7,
            explains=(
                "loss.starts-far-from-chance",
                "loss.target-scale",
                "loss.mismatched-task",
                "step.learning-rate-too-low",
                "step.learning-rate-too-high",
                "step.oscillating",
                "model.dead-units",
                "model.too-small",
                "model.vanishing-gradient",
            ),
        )
