"""`loss.reduction-scale`: the loss grows with the batch (a sum) and the step size does not fit it."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.learning_rate import evidence, rate, too_high
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of


@rule("loss.reduction-scale")
def check(facts: Facts) -> Iterator[Finding]:
    """The loss is a sum over the batch, and the step size was meant for a mean.

    A sum over B samples has B times the gradient of their mean: a learning rate that is right for one is B times too
    high for the other, and doubling the batch doubles it.

    Proof: the samples of a batch count B together, not 1, in the number on which backward is called; and continued from
    the first step with a rate about B times smaller, the same loop learns while it does not as it is.

    Buggy::

        loss = F.cross_entropy(logits, y, reduction="sum")
        torch.optim.SGD(model.parameters(), lr=0.1)

    Fixed::

        loss = F.cross_entropy(logits, y)

    Healthy look-alikes: a sum with a step size to match, a sum over pixels averaged over samples, a sum with Adam: the
    loss falls, and nothing is said.

    Seen in: Stack Overflow 43027109, 43611745.
    """
    told = facts.probe("train/reduction")
    weight, rows, site = told.get("weight"), told.get("rows"), told.get("site")
    if not isinstance(weight, float) or not isinstance(rows, int) or rows < 8 or abs(weight) < 0.4 * rows:
        return
    symptom, losses = symptom_of(facts), curves.series(facts)
    if symptom in (None, "falls", "too-good", "crashes") or not losses:
        return
    high = too_high(facts, losses[0])
    fitting = curves.trial(facts, "lr*0.01") if high is None else high[1]
    if high is None or fitting is None:
        return
    broken = symptom in ("explodes", "goes-up")
    yield Finding(
        "loss.reduction-scale",
        f"the loss is a sum over {rows} samples: its gradient is {rows} times that of their mean, and the rate "
        f"of {rate(facts):g} does not fit it",
        severity="error" if broken else "warning",
        site=site if isinstance(site, Site) else None,
        evidence={
            "samples in the batch": rows,
            "what they count together": round(weight, 3),
            **evidence(facts, fitting),
        },
        mechanism=f"summing {rows} samples multiplies gradient and step by {rows} → steps overshoot → "
        + ("the loss grows" if broken else "the loss stays high"),
        fix='reduction="mean"   # or divide the learning rate by the batch size',
        confidence=0.95,
        explains=(
            "step.learning-rate-too-high",
            "step.oscillating",
            "numeric.exploding-gradient",
            "numeric.non-finite-loss",
            "numeric.non-finite-gradient",
            "loss.starts-far-from-chance",
            "model.dead-units",
        ),
    )
