"""`step.learning-rate-too-high` and `step.learning-rate-too-low`: a trial with another step size cures the symptom."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of

_EFFECTS = (
    "loss.starts-far-from-chance",
    "model.dead-units",
    "numeric.non-finite-loss",
    "numeric.non-finite-gradient",
    "step.oscillating",
)


@rule("step.learning-rate-too-high", "step.learning-rate-too-low")
def check(facts: Facts) -> Iterator[Finding]:
    """The step size does not fit: the same loop, from the same weights, learns with another one.

    Too high: each step jumps across the valley that the gradient describes, and the loss grows until it is NaN, or
    stays high. Too low: the weights hardly move in the time that the program trains.

    Proof: a copy of the program was parked at its first step and went on with the learning rate multiplied, once for
    each factor, and once with nothing changed. Only the copy with the other rate learns. Without trials, or where they
    do not tell, nothing is said.

    Buggy::

        optimizer = torch.optim.SGD(model.parameters(), lr=30.0)

    Fixed::

        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    Healthy look-alikes: large steps with a transient rise, warm-up with tiny first steps, losses of adversaries and
    policies. Their loss falls in the end, or means nothing, so no trial is run. Where a sum instead of a mean, unscaled
    data or a missing ``zero_grad`` made the step too large, those are the findings, and this one is folded under them.

    Seen in: Stack Overflow 42264716; DeepFD 48934338, 37624102 (too high), 51181393 (too low).
    """
    symptom, floor = symptom_of(facts), curves.floor(facts)
    if symptom in (None, "falls", "too-good", "crashes") or floor is None:
        return
    if symptom == "oscillates":
        return
    losses = curves.series(facts)
    high = too_high(facts, losses[0])
    if high is not None:
        factor, told = high
        broken = symptom in ("explodes", "goes-up")
        yield Finding(
            "step.learning-rate-too-high",
            f"the learning rate is too high: with a {1 / factor:g} times smaller one the same loop learns",
            severity="error" if broken else "warning",
            site=step_site(facts),
            evidence=evidence(facts, told),
            mechanism="a step overshoots the minimum along steep directions → the next gradient is larger → "
            + ("the loss grows without bound" if broken else "the loss stays high"),
            fix=f"lr={rate(facts) * factor:g}   # was {rate(facts):g}" if rate(facts) else "divide the update by ten",
            confidence=0.9 if broken else 0.8,
            explains=_EFFECTS if broken else (),
        )
        return
    low = too_low(facts, losses, floor)
    if low is not None:
        factor, told = low
        yield Finding(
            "step.learning-rate-too-low",
            f"the learning rate is too low: with a {factor:g} times larger one the same loop learns in as many steps",
            severity="warning",
            site=step_site(facts),
            evidence=evidence(facts, told),
            mechanism="each step moves the weights by next to nothing → the loss hardly falls",
            fix=f"lr={rate(facts) * factor:g}   # was {rate(facts):g}"
            if rate(facts)
            else f"multiply the update by {factor:g}",
            confidence=0.85,
        )


def too_high(facts: Facts, first: float) -> tuple[float, curves.Trials] | None:
    """The largest factor below one with which the loop learns while it does not without, next to its trial."""
    found = []
    for factor in curves.FACTORS:
        told = curves.trial(facts, f"lr*{factor:g}")
        if told is None or not math.isfinite(told.with_it):
            continue
        gain = first - told.with_it
        worse = told.without - told.with_it
        if gain > 3 * told.noise and gain > 0.05 * abs(first) and worse > 0.5 * gain and told.is_clear:
            found.append((factor, told))
    if not found:
        return None
    best = min(one.with_it for _, one in found)
    close = [pair for pair in found if first - pair[1].with_it > 0.7 * (first - best)]
    return close[0]


def too_low(facts: Facts, losses: list[float], floor: float) -> tuple[float, curves.Trials] | None:
    """The smallest factor above one with which as many steps bring much more than the whole run did."""
    found = []
    part = max(3, len(losses) // 3)
    progress = max(0.0, statistics.median(losses[:part]) - curves.level(losses))
    for factor in (10.0, 100.0, 1000.0, 10_000.0):
        told = curves.trial(facts, f"lr*{factor:g}")
        if told is None or not told.is_clear or not math.isfinite(told.with_it) or told.with_it > losses[0]:
            continue
        # A twentieth of what there is to learn: less is not worth a word.
        if told.lead > max(0.05 * abs(floor), 2.5 * progress):
            found.append((factor, told))
    if not found:
        return None
    best = max(one.lead for _, one in found)
    return next(pair for pair in found if pair[1].lead > 0.5 * best)


def evidence(
    facts: Facts, told: curves.Trials
) -> dict[str, float | int | str | bool | list[float] | list[int] | list[str] | None]:
    """The numbers of a trial."""
    return {
        "learning rate": rate(facts),
        "first loss": round(told.start, 6),
        "steps of each trial": len(told.changed),
        "loss with nothing changed": _plain(told.without),
        f"loss with {told.name}": _plain(told.with_it),
        "trials": [f"{name}: {_plain(one.with_it)}" for name in facts.trials if (one := curves.trial(facts, name))],
    }


def _plain(value: float) -> float | str:
    return float(f"{value:.4g}") if math.isfinite(value) else "not finite"


def rate(facts: Facts) -> float:
    """The learning rate of the first optimiser that stepped; 0 where there is none."""
    return next((curves.setting(one, "lr") for one in curves.optimizers(facts)), 0.0)


def step_site(facts: Facts) -> Site | None:
    """Where the step size is given: the optimiser's construction; the backward of a program that steps by hand."""
    made = next((one.site for one in curves.optimizers(facts) if one.site is not None), None)
    return made or next((one.site for one in facts.backwards if one.site is not None), None)
