"""`step.regularisation-dominates`: weight decay or a penalty outweighs the data."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.learning_rate import evidence, step_site
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of

_EFFECTS = (
    "step.learning-rate-too-high",
    "step.learning-rate-too-low",
    "loss.starts-far-from-chance",
    "model.dead-units",
)


@rule("step.regularisation-dominates")
def check(facts: Facts) -> Iterator[Finding]:
    """Weights are pulled to zero more strongly than the data pulls them anywhere.

    Weight decay or a penalty has a gradient in proportion to the weights. Where it exceeds that of the data, the
    weights shrink until nothing is left of the model but a constant: the loss ends at that of the label frequencies.

    Proof: with ``weight_decay=0`` the same loop learns (a trial); for a penalty within the loss: its gradient is
    several times that of the data, and the loss ends at that of the best constant prediction or above.

    Buggy::

        torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.0)

    Fixed::

        torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)

    Healthy look-alikes: strong penalties under which the loss still falls far below chance; a KL term of a variational
    model, which depends on the batch.

    Seen in: Stack Overflow 51028324; TheDeepChecker's "over_regularization".
    """
    yield from _decay(facts)
    yield from _penalty(facts)


def _decay(facts: Facts) -> Iterator[Finding]:
    told, floor = curves.trial(facts, "weight_decay=0"), curves.floor(facts)
    # Where the decay pulls harder than the data, less of a difference is enough.
    times = 2 if curves.decay_share(facts) > 1 else 3
    if told is None or floor is None or not told.is_cured(floor, times=times):
        return
    decay = max((curves.setting(one, "weight_decay") for one in curves.optimizers(facts)), default=0.0)
    yield Finding(
        "step.regularisation-dominates",
        f"weight decay of {decay:g} outweighs the data: without it the same loop learns",
        severity="error" if curves.decay_share(facts) > 1 else "warning",
        site=step_site(facts),
        evidence={
            "weight decay": decay,
            "pull of the decay over the gradient, or share of the weights taken": round(curves.decay_share(facts), 3),
            **evidence(facts, told),
        },
        mechanism="decay shrinks the weights faster than the gradient builds them up → the output becomes a constant → "
        "the loss stays at chance",
        fix=f"weight_decay=1e-4   # was {decay:g}",
        confidence=0.95,
        explains=_EFFECTS,
    )


def _penalty(facts: Facts) -> Iterator[Finding]:
    told = facts.probe("train/penalty")
    ratio, value, data = (told.get(name) for name in ("ratio", "value", "data"))
    if not isinstance(ratio, float) or not isinstance(value, float) or not isinstance(data, float) or ratio < 2:
        return
    losses, chance = curves.series(facts), curves.chance(facts)
    if len(losses) < 20:
        return
    end = curves.level(losses)
    at_chance = chance is not None and end > chance - 0.1 * abs(chance)
    stuck = symptom_of(facts) in ("plateaus", "slow", "goes-up", "explodes")
    site = told.get("site")
    if not at_chance and not (stuck and ratio > 10):
        if ratio > 10:
            yield _finding("info", ratio, value, data, chance, end, site if isinstance(site, Site) else None)
        return
    severity = "error" if at_chance and ratio > 5 else "warning"
    yield _finding(severity, ratio, value, data, chance, end, site if isinstance(site, Site) else None)


def _finding(
    severity: str, ratio: float, value: float, data: float, chance: float | None, end: float, site: Site | None
) -> Finding:
    return Finding(
        "step.regularisation-dominates",
        f"the penalty on the weights outweighs the data: its gradient is {ratio:.3g} times as large",
        severity="error" if severity == "error" else "warning" if severity == "warning" else "info",
        site=site,
        evidence={
            "gradient of the penalty over that of the data": round(ratio, 3),
            "penalty at first": round(value, 5),
            "data term at first": round(data, 5),
            "loss of a constant prediction": round(chance, 5) if chance is not None else None,
            "loss at the end": round(end, 5) if math.isfinite(end) else None,
        },
        mechanism="the penalty shrinks the weights faster than the data builds them up → a constant output → "
        "the loss stops at chance",
        fix="divide the weight of the penalty by a thousand",
        confidence=0.9,
        explains=_EFFECTS if severity != "info" else (),
    )
