"""`step.schedule-mistimed`: the schedule is stepped per batch instead of per epoch, or the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlkit.debug.facts import Facts, SchedulerFacts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule

_EFFECTS = ("step.learning-rate-too-low", "step.learning-rate-too-high", "step.oscillating")


@rule("step.schedule-mistimed")
def check(facts: Facts) -> Iterator[Finding]:
    """The schedule counts calls of ``scheduler.step()``, and they come at another rhythm than it was made for.

    Stepped per batch instead of per epoch, a decay meant for dozens of epochs is over within one, and the rest of the
    training moves nothing. Stepped per epoch instead of per batch, a warm-up or one-cycle schedule of thousands of
    calls gets a dozen: the learning rate never leaves its start.

    Proof: the rates that the program used, and those that the same scheduler gives when it is stepped after every
    optimiser step, over the program's length.

    Buggy::

        for batch in loader:
            ...
            optimizer.step()
            scheduler.step()        # StepLR(optimizer, 10): meant per epoch

    Fixed::

        for batch in loader:
            ...
            optimizer.step()
        scheduler.step()

    Healthy look-alikes: a warm-up or decay per batch that was made for batches; cyclic schedules; a run that is stopped
    early, of which the rhythm is right.

    Seen in: ivadomed/ivadomed#55; aimagelab/meshed-memory-transformer#71; nodefluxio/vortex#58;
    Lightning-AI/pytorch-lightning#5631.
    """
    if facts.error is not None and "Tried to step" in facts.error.message and "total" in facts.error.message:
        yield from _too_often(facts)
        return
    for scheduler in facts.schedulers.values():
        optimizer = facts.optimizers.get(scheduler.optimizer) if scheduler.optimizer is not None else None
        if optimizer is None or optimizer.steps < 20:
            continue
        if scheduler.calls == 0:
            yield from _never(facts, scheduler, optimizer.steps)
        elif scheduler.calls >= 0.7 * optimizer.steps:
            yield from _per_batch(scheduler, optimizer.steps)
        elif facts.is_finished and scheduler.calls * 3 <= optimizer.steps:
            yield from _per_epoch(facts, scheduler, optimizer.steps)


def _per_batch(scheduler: SchedulerFacts, steps: int) -> Iterator[Finding]:
    """Stepped as often as the optimiser: is it all over long before the end?"""
    rates = [rate for _, rate in scheduler.steps]
    peak = max([*rates, *_base(scheduler)], default=0.0)
    if peak <= 0 or len(rates) < 10:
        return
    after = [step for step, rate in scheduler.steps if rate > 0.01 * peak]
    alive = max(after, default=0) / steps
    evidence = {
        "calls of scheduler.step": scheduler.calls,
        "optimiser steps": steps,
        "highest learning rate": peak,
        "last learning rate": rates[-1],
    }
    if alive < 0.5 and steps >= 30:
        gone = alive < 0.25 and rates[-1] < 1e-4 * peak
        yield Finding(
            "step.schedule-mistimed",
            f"{scheduler.kind} is stepped after every batch: after {max(after, default=0)} of {steps} steps the rate "
            "is below a hundredth of its peak, and the rest of the training moves next to nothing",
            severity="error" if gone else "warning",
            site=scheduler.step_site or scheduler.site,
            evidence={**evidence, "share of steps with a rate above 1% of the peak": round(alive, 3)},
            mechanism="the schedule counts calls, and they come per batch → it decays as many times too fast → "
            "the loss freezes where it is",
            fix="scheduler.step()   # once an epoch, after the loop over batches (or count its settings in batches)",
            confidence=0.97 if gone else 0.85,
            explains=_EFFECTS,
        )
        return
    period = scheduler.settings.get("T_max")
    if scheduler.kind == "CosineAnnealingLR" and isinstance(period, (int, float)) and scheduler.calls >= 3 * period:
        yield Finding(
            "step.schedule-mistimed",
            f"CosineAnnealingLR(T_max={period:g}) is stepped {scheduler.calls} times, after every batch: the rate "
            f"goes down and up {scheduler.calls / period / 2:.0f} times instead of annealing once",
            severity="warning",
            site=scheduler.step_site or scheduler.site,
            evidence={**evidence, "T_max": float(period)},
            mechanism="T_max is counted in epochs, calls come per batch → the cosine repeats → "
            "the training ends at whatever rate the wave has there",
            fix="scheduler.step()   # once an epoch, after the loop over batches",
            confidence=0.85,
            explains=_EFFECTS,
        )


def _per_epoch(facts: Facts, scheduler: SchedulerFacts, steps: int) -> Iterator[Finding]:
    """Stepped far less often than the optimiser: was it made for as many calls as there are optimiser steps?"""
    played = facts.probe("end/schedules").get(str(scheduler.key))
    used = [rate for _, rate in scheduler.steps]
    horizon = next(
        (
            int(value)
            for name in ("total_steps", "T_max", "total_iters")
            if isinstance(value := scheduler.settings.get(name), (int, float)) and value > 0
        ),
        None,
    )
    rhythm = steps / scheduler.calls
    # Within a third: the last batch of an epoch may be dropped, the last epoch stopped early.
    is_meant = horizon is not None and 0.7 * steps <= horizon <= 1.4 * steps and horizon > 3 * scheduler.calls
    is_stuck = isinstance(played, list) and _never_left(played, used, scheduler.calls)
    if not is_meant and not is_stuck:
        return
    best = max(played) if isinstance(played, list) and played else max(used)
    low = max(used) < 0.7 * best
    yield Finding(
        "step.schedule-mistimed",
        f"{scheduler.kind} is stepped once in {rhythm:.0f} optimiser steps but made for "
        f"{f'{horizon} calls' if is_meant else 'one call a step'}: it gets {scheduler.calls}, and "
        + ("the learning rate never leaves the warm-up" if low else "the learning rate hardly changes"),
        severity="error" if is_meant and low else "warning",
        site=scheduler.step_site or scheduler.site,
        evidence={
            "calls of scheduler.step": scheduler.calls,
            "optimiser steps": steps,
            "calls that it was made for": horizon,
            "highest learning rate used": max(used),
            "highest learning rate of the schedule": best,
        },
        mechanism="the schedule counts calls, and they come per epoch → it is hardly begun when the training ends → "
        + ("the steps are far smaller than planned" if low else "nothing is annealed"),
        fix="scheduler.step()   # after every optimizer.step(), within the loop over batches",
        confidence=0.95,
        explains=_EFFECTS,
    )


def _never_left(played: Sequence[object], used: Sequence[float], calls: int) -> bool:
    """Whether the schedule climbs for longer than it was called, and is over by the end if stepped per batch."""
    rates = [float(one) for one in played if isinstance(one, (int, float))]
    if len(rates) < 20 or not used or max(rates) <= 0:
        return False
    top = rates.index(max(rates))
    return top >= 1.5 * calls and max(used) < 0.6 * max(rates) and top < 0.6 * len(rates)


def _never(facts: Facts, scheduler: SchedulerFacts, steps: int) -> Iterator[Finding]:
    passes = max((len(one.passes) for one in facts.loaders.values() if one.role == "train"), default=0)
    if not facts.is_finished or steps < 50:
        return
    yield Finding(
        "step.schedule-mistimed",
        f"{scheduler.kind} is made but never stepped: the learning rate stays where it is",
        severity="warning" if passes >= 3 else "info",
        site=scheduler.site,
        evidence={"optimiser steps": steps, "passes over the training data": passes},
        mechanism="a scheduler changes the rate only in its step() → nothing is scheduled",
        fix="scheduler.step()",
        confidence=0.8,
    )


def _too_often(facts: Facts) -> Iterator[Finding]:
    assert facts.error is not None
    made = next((one for one in facts.schedulers.values() if "total_steps" in one.settings), None)
    yield Finding(
        "step.schedule-mistimed",
        "the schedule is stepped more often than it was made for",
        severity="error",
        site=facts.error.site or (made.step_site if made else None),
        evidence={
            "total_steps": _number(made.settings.get("total_steps")) if made else None,
            "message": facts.error.message[:200],
        },
        mechanism="total_steps counts calls of scheduler.step() → there are more calls than that → it raises",
        fix="total_steps = epochs * len(loader)   # and one scheduler.step() after each optimizer.step()",
        confidence=0.99,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _base(scheduler: SchedulerFacts) -> list[float]:
    base = scheduler.settings.get("base_lrs")
    return [float(one) for one in base if isinstance(one, (int, float))] if isinstance(base, list) else []
