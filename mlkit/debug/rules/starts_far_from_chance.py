"""`loss.starts-far-from-chance`: the first loss is far from what an uninformed model would score."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of


@rule("loss.starts-far-from-chance")
def check(facts: Facts) -> Iterator[Finding]:
    """The first loss is many times that of predicting the label frequencies, or the mean.

    A fresh model knows nothing and should say so: ln C for C classes, the variance of the targets for squared error. A
    first loss far above means outputs that are large and wrong: unscaled inputs or targets, initial weights too large,
    a loss that is fed something else than it expects.

    Proof: the loss computed again on this batch, with the best constant in place of the prediction.

    Healthy look-alikes: a pretrained or tied model, a prior-initialised bias (below chance), a loss that is a sum.

    Buggy::

        nn.init.normal_(layer.weight)           # standard deviation 1 on a wide layer

    Fixed::

        nn.init.normal_(layer.weight, std=fan_in ** -0.5)

    Seen in: Stack Overflow 40147568, 44856988; TheDeepChecker's check of the initial loss.
    """
    told = facts.probe("train/chance")
    first, chance, site = (told.get(one) for one in ("first", "chance", "site"))
    if not isinstance(first, float) or not isinstance(chance, float) or not math.isfinite(first) or chance <= 0:
        return
    times = first / chance
    # Outputs of unit variance around the mean double a squared error, and add about 0.5 to a cross-entropy.
    if times < 4:
        return
    stuck = symptom_of(facts) not in (None, "falls", "too-good")
    yield Finding(
        "loss.starts-far-from-chance",
        f"the first loss is {times:.3g} times that of a constant prediction",
        severity="warning" if stuck and times > 10 else "info",
        site=site if isinstance(site, Site) else None,
        evidence={
            "first loss": float(f"{first:.5g}"),
            "loss of the best constant prediction": float(f"{chance:.5g}"),
            "loss at the end": float(f"{end:.5g}")
            if math.isfinite(end := curves.level(curves.series(facts)))
            else None,
        },
        mechanism="the first outputs are large and wrong → the first steps only undo that",
        fix="scale inputs and targets to mean 0 and deviation 1, and the last layer's initial weights down",
        confidence=0.6,
    )
