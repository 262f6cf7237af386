"""`loss.target-domain`: targets outside the domain of the loss.

Not here: targets that the model's last activation cannot give (`unreachable_target`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import entries, number, place


@rule("loss.target-domain")
def check(facts: Facts) -> Iterator[Finding]:
    """The targets are numbers for which the loss is not defined, and it does not complain.

    Binary cross-entropy needs numbers from 0 to 1. A mask kept as 0 and 255 makes it negative and unbounded below: the
    more positive the logit the better, without end. Margin losses need -1 and 1; a Poisson likelihood needs counts;
    cross-entropy with rows of shares needs them to sum to 1.

    Proof: the values of the targets that enter the loss.

    Buggy::

        mask = torch.from_numpy(mask).float()

    Fixed::

        mask = torch.from_numpy(mask).float() / 255

    Healthy look-alikes: soft labels, label smoothing, mixed-up labels, several labels at once: all lie from 0 to 1.

    Seen in: pytorch/pytorch#123339; milesial/Pytorch-UNet#176.
    """
    for entry in entries(facts, "reach", "domain"):
        wanted = str(entry["wanted"])
        is_sum = "sum to 1" in wanted
        yield Finding(
            "loss.target-domain",
            f"{entry['loss']} needs targets that are {wanted}; these go from {entry['lowest']:g} to "
            f"{entry['highest']:g}",
            severity="warning" if is_sum else "error",
            site=place(entry),
            evidence={"lowest": number(entry["lowest"]), "highest": number(entry["highest"]), "allowed": wanted},
            mechanism="the loss is not defined for these targets → its minimum is somewhere else, or nowhere → "
            "it falls below 0, or goes on falling without anything learned",
            fix=f"scale or map the targets to {wanted}, such as mask / {entry['highest']:g}"
            if entry["lowest"] >= 0 and not is_sum and wanted.startswith("numbers")
            else f"map the targets to {wanted}",
            confidence=0.8 if is_sum else 0.98,
            explains=(
                "loss.starts-far-from-chance",
                "loss.wrong-sign",
                "loss.target-scale",
                "loss.mismatched-task",
                "loss.unreachable-target",
                "step.learning-rate-too-high",
                "step.oscillating",
                "numeric.exploding-gradient",
                "data.label-support",
            ),
        )
