"""`step.oscillating`: the loss goes up and down, and a calmer step calms it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.learning_rate import evidence, rate, step_site
from mlkit.debug.symptom import swings_back, symptom_of


@rule("step.oscillating")
def check(facts: Facts) -> Iterator[Finding]:
    """The loss oscillates because steps overshoot, not because batches differ.

    At a step size near the largest stable one, or with momentum so high that a thousand old gradients still push, the
    weights swing around the minimum. The loss may fall over all, far slower than it could, and where it stops is luck.

    Proof: the loss rises again and again although every step sees the same data (or swings back by half of what was
    gained), and continued from the same weights with a smaller rate or without momentum it is lower and calm.

    Buggy::

        torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.99)

    Fixed::

        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    Healthy look-alikes: the noise of small batches or of dropout, which no step size removes; adversarial losses.

    Seen in: Stack Overflow 40156629, 51344264; AUTOTRAINER's "oscillating loss".
    """
    if symptom_of(facts) != "oscillates":
        return
    best: tuple[str, curves.Trials] | None = None
    for name in ("lr*0.1", "momentum=0.9", "momentum=0", "lr*0.01"):
        told = curves.trial(facts, name)
        if told is None or not math.isfinite(told.with_it):
            continue
        calmer = curves.roughness(told.changed) < 0.5 * curves.roughness(told.control) or _is_steadier(told)
        lower = told.with_it <= told.without
        if calmer and lower and (best is None or told.with_it < best[1].with_it):
            best = (name, told)
    if best is None:
        return
    name, told = best
    momentum = max((curves.setting(one, "momentum") for one in curves.optimizers(facts)), default=0.0)
    words = {
        "lr*0.1": "a ten times smaller learning rate",
        "momentum=0.9": "a momentum of 0.9",
        "momentum=0": "no momentum",
        "lr*0.01": "a hundred times smaller learning rate",
    }[name]
    change = (
        "momentum=0.9"
        if name == "momentum=0.9"
        else "momentum=0"
        if name == "momentum=0"
        else (f"lr={rate(facts) / (10 if name == 'lr*0.1' else 100):g}")
    )
    yield Finding(
        "step.oscillating",
        f"the loss oscillates because the steps overshoot: {words} calms it",
        severity="warning",
        site=step_site(facts),
        evidence={
            "momentum": momentum,
            "share of steps that raise the loss": round(curves.rises(curves.series(facts)), 3),
            "roughness with nothing changed": round(curves.roughness(told.control), 4),
            f"roughness with {name}": round(curves.roughness(told.changed), 4),
            **evidence(facts, told),
        },
        mechanism="step size (times 1/(1 - momentum)) beyond what the curvature allows → weights swing → "
        "the loss goes up and down",
        fix=f"{change}   # was lr={rate(facts):g}, momentum={momentum:g}",
        confidence=0.85,
        explains=("step.learning-rate-too-high",),
    )


def _is_steadier(told: curves.Trials) -> bool:
    """For swings of many steps, which the batches' own noise hides from step to step: on the same batches the loss is
    clearly lower in the end, and does not climb back.
    """
    return told.is_ahead and told.with_it < 0.85 * told.without and not swings_back(told.changed)
