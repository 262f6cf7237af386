"""`loss.broadcast`: prediction and target shapes broadcast to an outer product.

Not here: shapes that cannot be combined at all (`shape.mismatch`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import measured, number, place


@rule("loss.broadcast")
def check(facts: Facts) -> Iterator[Finding]:
    """Every prediction is compared with the target of every sample, not with its own.

    A column (N, 1) and a vector (N,) are combined by broadcasting into a table (N, N), without an error. The mean over
    it compares each prediction with all targets; what minimises that is their mean, so the model learns to predict one
    number, and the loss stops at the variance of the target. The same happens to weights (N, 1) of losses (N,).

    Proof: on the way to the loss two tensors of one value a sample are joined to a table of samples by samples, and
    aligned sample by sample the loss is another number. Tables that are meant are quiet: all pairs of one tensor with
    itself, an axis added in the same expression (``a[:, None] - b[None]``), matrix products, contrastive scores.

    Buggy::

        loss = ((model(x) - y) ** 2).mean()             # (N, 1) - (N,)

    Fixed::

        loss = ((model(x).squeeze(1) - y) ** 2).mean()

    Seen in: pytorch/pytorch#16045, #19699; LAMDA-Tabular/TALENT#92; manzilzaheer/DeepSets#2.
    """
    seen: set[object] = set()
    for found in measured(facts, "join"):
        site = place(found)
        if site in seen:
            continue
        seen.add(site)
        tall, flat = found["shapes"]
        what = "a weight and the losses of the samples" if found["is_weight"] else "prediction and target"
        yield Finding(
            "loss.broadcast",
            f"shapes {tall} and {flat} of {what} broadcast to {found['table']}: every sample is paired with "
            f"every other",
            site=site,
            evidence={
                "op": found["op"],
                "shapes": f"{tall} and {flat}",
                "broadcast to": found["table"],
                "loss": number(found["loss"]),
                "loss with the two aligned": number(found["aligned"]) if found["aligned"] is not None else None,
            },
            mechanism="broadcasting makes a table of samples by samples → each prediction is drawn to the mean of all "
            "targets → the model predicts one number, and the loss stops at the variance of the target",
            fix=f"give both the same shape: squeeze({found['axis'] or 1}) on the one of shape {tall}",
            confidence=0.98 if found["aligned"] is not None else 0.95,
            explains=(
                "shape.samples-mixed",
                "metric.wrong",
                "loss.starts-far-from-chance",
                "loss.mismatched-task",
                "loss.target-scale",
                "step.learning-rate-too-low",
                "step.learning-rate-too-high",
                "step.oscillating",
                "model.too-small",
                "model.ignores-input",
                "data.inputs-labels-unpaired",
            ),
        )
