"""From what is asked for ("auto", "off", or a recorded setting) to the `Speed` of a run and its step function.

Not here: measuring (`mlkit.engine.speed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mlkit.data.batches import Batches
from mlkit.data.splits import Batch
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.speed import Speed, choose_speed, forward_of, off
from mlkit.engine.step import LossFunction, StepFunction, supervised
from mlkit.errors import ConfigError
from mlkit.runtime.precision import autocast

_AS_BEFORE = " (as before the resume)"
SpeedWish = Speed | Literal["auto", "off"]


def settle_speed(
    wish: SpeedWish,
    recorded: Mapping[str, Any] | None,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    batches: Batches,
    device: torch.device,
    expected_steps: int | None,
) -> Speed:
    """The speed settings of a run.

    Args:
        wish: a setting, ``"off"``, or ``"auto"`` to measure.
        recorded: what the run that is resumed has used on a device of this kind; it is replayed, so that the resumed
            run does the same arithmetic.
        model: on ``device``.
        optimizer: the run's; trials use fresh ones of its class and settings.
        loss_fn: ``loss_fn(output, targets)``.
        batches: the first one is measured with.
        device: where training takes place.
        expected_steps: steps of the run, where known.

    Raises:
        ConfigError: another wish.
    """
    if recorded is not None:
        speed = Speed.from_dict(recorded)
        reason = speed.reason.removesuffix(_AS_BEFORE) + _AS_BEFORE
        return replace(speed, reason=reason)
    if isinstance(wish, Speed):
        return wish
    if wish == "off":
        return off()
    if wish != "auto":
        raise ConfigError("unknown speed", received=repr(wish), allowed="'auto', 'off' or a mlkit.engine.speed.Speed")
    return choose_speed(
        model,
        next(iter(batches.epoch(0))),
        loss_fn=loss_fn,
        make_optimizer=partial(_optimizer_like, optimizer),
        device=device,
        expected_steps=expected_steps,
    )


def step_at(speed: Speed, model: nn.Module, loss_fn: LossFunction, device: torch.device) -> StepFunction:
    """The ordinary step, in the precision of ``speed`` and compiled where it says so."""
    step = supervised(loss_fn, partial(autocast, speed.precision, device))
    called = forward_of(model, speed)
    if called is model:
        return step

    def compiled_step(_: nn.Module, batch: Batch) -> Tensor:
        return step(called, batch)

    return compiled_step


def _optimizer_like(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """An optimiser of the same class and settings for a copy of the model; Adam where that class takes other arguments.

    It is only timed, so parameter groups do not matter.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        made: torch.optim.Optimizer = type(optimizer)(trainable, **optimizer.defaults)
        return made
    except (TypeError, ValueError):
        return make_optimizer(model)
