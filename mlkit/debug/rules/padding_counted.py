"""`loss.padding-counted`: padded positions enter the loss.

Not here: padding that changes the model's answer (`model.padding-dependence`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import measured, number, place


@rule("loss.padding-counted")
def check(facts: Facts) -> Iterator[Finding]:
    """The loss also asks for the padding at the ends of short sequences.

    Padding is easy to predict, so the loss falls fast to a low value, most of the gradient says "print padding", and
    the loss and accuracy reported are better than those of the real positions.

    Proof: targets end in runs of one value that stands nowhere else, of different lengths; an input of the model is
    padded
    in the same rows by the same lengths; and the gradient by the predictions at those positions is not zero. The first
    position of a run is left out, since it may be the end mark that a model should learn.

    Buggy::

        loss = F.cross_entropy(logits.transpose(1, 2), target)

    Fixed::

        loss = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD)

    Seen in: DaoyuanLi2816/Molecule-Generator#20; saahiluppal/catr#12; allenai/open-instruct#632.
    """
    for found in measured(facts, "padding"):
        if found["counted"] < 0.5:
            continue
        share = found["share"]
        yield Finding(
            "loss.padding-counted",
            f"padding enters the loss: {share:.0%} of the positions that {found['loss']} averages over are padding",
            severity="error" if found["is_classes"] and share >= 0.08 else "warning" if share >= 0.02 else "info",
            site=place(found),
            evidence={
                "padded positions": number(share),
                "of them with a gradient": number(found["counted"]),
                "padding value": found["pad"],
                "batch": f"{found['rows']} x {found['length']}",
            },
            mechanism="padding is easy to predict → much of the gradient is spent on it → the loss looks lower "
            "than it is for "
            "the real positions",
            fix=f"ignore_index={found['pad']:.0f} in the loss"
            if found["is_classes"]
            else "multiply the losses by the mask of real positions, and divide by its sum",
            confidence=0.95,
            explains=(
                "loss.starts-far-from-chance",
                "data.imbalance",
                "data.label-support",
                "model.padding-dependence",
            ),
        )
        return
