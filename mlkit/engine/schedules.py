"""Schedules: the learning rate as a pure function of the step, so that a resumed run needs no scheduler state.

Not here: anything that reacts to how training goes; see `mlkit.engine.stopping`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from mlkit.errors import ConfigError, Problem, did_you_mean

Schedule = Callable[[int], float]
"""Steps done so far -> factor on the base learning rate for the next step."""

ScheduleName = Literal["constant", "linear", "cosine", "one_cycle", "step"]
_NEED_TOTAL = ("linear", "cosine", "one_cycle")


def make_schedule(
    name: ScheduleName = "constant",
    *,
    total_steps: int | None = None,
    warmup_steps: int = 0,
    final_factor: float = 0.0,
    step_every: int | None = None,
    gamma: float = 0.1,
) -> Schedule:
    """The factor on the base learning rate, as a function of the number of steps done.

    ======================  ==================================================================================
    ``constant``            1
    ``linear``, ``cosine``  from 1 after the warm-up down to ``final_factor`` (cosine: Loshchilov & Hutter 2017,
                            arXiv:1608.03983, without restarts)
    ``one_cycle``           up from 1/25 to 1, then down to ``final_factor``, both along a cosine (Smith & Topin 2018,
                            arXiv:1708.07120, with the shape that fast.ai and PyTorch gave it)
    ``step``                times ``gamma`` every ``step_every`` steps of the run
    ======================  ==================================================================================

    ``final_factor`` is reached at ``total_steps``, just after the last step, so that no step is wasted at a rate of
    zero; it also holds for any step beyond.

    Args:
        name: the shape.
        total_steps: optimiser steps of the whole run.
        warmup_steps: the rate rises linearly over so many steps: the first has ``1 / warmup_steps`` of it, the last
            all. For ``one_cycle`` it is the length of the rise, 30 % of the run when 0.
        final_factor: larger ends with larger steps, which suits short runs and an average of weights.
        step_every: steps between two drops of ``step``.
        gamma: what a drop of ``step`` multiplies with.

    Raises:
        ConfigError: values out of range or missing, all reported together.

    >>> schedule = make_schedule("cosine", total_steps=100, warmup_steps=10)
    >>> [round(schedule(step), 3) for step in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    _check(name, total_steps, warmup_steps, final_factor, step_every, gamma)
    total = total_steps or 0
    if name == "one_cycle":
        rise = warmup_steps or max(1, round(0.3 * total))
        return partial(_one_cycle, total=total, rise=rise, final=final_factor)
    main: Schedule
    if name == "linear":
        main = partial(_linear, start=warmup_steps, total=total, final=final_factor)
    elif name == "cosine":
        main = partial(_cosine, start=warmup_steps, total=total, final=final_factor)
    elif name == "step":
        main = partial(_step, every=step_every or 1, gamma=gamma)
    else:
        main = _constant
    return partial(_warmed_up, steps=warmup_steps, then=main) if warmup_steps else main


def apply(schedule: Schedule, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Set the learning rate of every group to its base times ``schedule(step)``.

    The base is the group's ``"initial_lr"``; for an optimiser that has none it is the rate found at the first call.
    """
    factor = schedule(step)
    for group in optimizer.param_groups:
        lr = group["lr"]
        base = group.get("initial_lr")
        if base is None:
            base = group["initial_lr"] = float(lr)
        if isinstance(lr, Tensor):  # a compiled or captured optimiser reads the rate from this very tensor
            lr.fill_(base * factor)
        else:
            group["lr"] = base * factor


def _constant(step: int) -> float:
    return 1.0


def _warmed_up(step: int, *, steps: int, then: Schedule) -> float:
    return (step + 1) / steps if step < steps else then(step)


def _linear(step: int, *, start: int, total: int, final: float) -> float:
    return 1.0 + (final - 1.0) * _progress(step, start, total)


def _cosine(step: int, *, start: int, total: int, final: float) -> float:
    return _cosine_between(1.0, final, _progress(step, start, total))


def _one_cycle(step: int, *, total: int, rise: int, final: float) -> float:
    if step < rise:
        return _cosine_between(1 / 25, 1.0, step / rise)
    return _cosine_between(1.0, final, _progress(step, rise, total))


def _step(step: int, *, every: int, gamma: float) -> float:
    return gamma ** (step // every)


def _progress(step: int, start: int, total: int) -> float:
    return min(1.0, (step - start) / (total - start)) if total > start else 1.0


def _cosine_between(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * progress))


def _check(
    name: str, total: int | None, warmup: int, final_factor: float, step_every: int | None, gamma: float
) -> None:
    problems: list[Problem] = []

    def require(fine: bool, what: str, received: object, allowed: str, todo: str | None = None) -> None:
        if not fine:
            problems.append(Problem(what, received=repr(received), allowed=allowed, todo=todo))

    names = get_args(ScheduleName)
    require(name in names, "unknown schedule", name, ", ".join(names), did_you_mean(str(name), names))
    require(warmup >= 0, "the warm-up is negative", warmup, "0 or more steps")
    require(0 <= final_factor <= 1, "the final factor is not usable", final_factor, "a number in [0, 1]")
    require(0 < gamma <= 1, "gamma is not usable", gamma, "a number in (0, 1]")
    require(total is None or total >= 1, "the run has no steps", total, "total_steps of 1 or more")
    if name in _NEED_TOTAL:
        todo = "give max_steps or max_epochs, or take the constant schedule"
        require(total is not None, f"the schedule '{name}' needs to know when the run ends", total, "total_steps", todo)
        if total is not None and total >= 1:
            what = "the warm-up is as long as the run"
            require(warmup < total, what, f"{warmup} of {total} steps", "a warm-up shorter than the run")
    if name == "step":
        known = step_every is not None and step_every >= 1
        require(known, "the schedule 'step' needs to know when to drop", step_every, "step_every of 1 or more")
        if known and step_every is not None:
            what = "the first drop lies within the warm-up"
            require(warmup <= step_every, what, f"warm-up {warmup}, drop at {step_every}", "warmup_steps <= step_every")
    if problems:
        raise ConfigError(problems)
