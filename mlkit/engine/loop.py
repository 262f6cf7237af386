"""The loop: epochs of batches, each step in the same few phases, evaluated as it goes.

Not here: how its parts are made from what a user gives (`mlkit.engine.fit`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from mlkit.data.batches import Batches
from mlkit.engine import schedules
from mlkit.engine.evaluation import values
from mlkit.engine.hooks import Hook, listeners
from mlkit.engine.nonfinite import nonfinite_error
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.engine.step import StepFunction, backward, clip_gradients, gradient_clearer, windows

# On a GPU reading the loss waits for the device, so it is read once in this many steps; on a CPU it is free.
STEPS_BETWEEN_READS = 50


class Saver(Protocol):
    """Writes checkpoints; see `mlkit.engine.checkpoint`."""

    def after_step(self, state: TrainState) -> None:
        """Called after every optimiser step; saves when it is time to."""

    def after_epoch(self, state: TrainState) -> None:
        """Called when an epoch and its evaluation are over."""

    def save(self, state: TrainState) -> None:
        """Save now."""


@dataclass(frozen=True)
class Plan:
    """How to train: everything of a run that does not change.

    Args:
        batches: the training batches.
        step: loss of a batch.
        max_epochs: stop after this many epochs; None goes on until something else ends the run.
        max_steps: stop after this many optimiser steps.
        accumulate: batches whose gradients make one optimiser step.
        clip_norm: largest 2-norm of the gradient; None leaves it.
        schedule: learning rate at a step as a factor of the base rate; None is constant.
        evaluate: evaluates the model after an epoch: name of a split to its metrics.
        saver: writes checkpoints.
    """

    batches: Batches
    step: StepFunction
    max_epochs: int | None
    max_steps: int | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    schedule: Callable[[int], float] | None = None
    evaluate: Callable[[TrainState], dict[str, SplitMetrics]] | None = None
    saver: Saver | None = None


@dataclass
class RunningLoss:
    """Mean training loss of an epoch, weighted by examples; its parts survive a resume."""

    total: float = 0.0
    count: int = 0
    unread: list[tuple[Tensor, int]] = field(default_factory=list)

    def add(self, loss: Tensor, count: int) -> None:
        """Take note of a batch's mean loss; on a CPU it is read at once."""
        if loss.device.type == "cpu":
            self.total += loss.item() * count
            self.count += count
            return
        self.unread.append((loss, count))
        if len(self.unread) >= STEPS_BETWEEN_READS:
            self.read()

    def read(self) -> float:
        """The mean so far; waits for the device."""
        if self.unread:
            values: list[float] = torch.stack([loss for loss, _ in self.unread]).tolist()
            for value, (_, count) in zip(values, self.unread, strict=True):
                self.total += value * count
                self.count += count
            self.unread.clear()
        return self.total / max(self.count, 1)


def train(state: TrainState, plan: Plan, *, hooks: Sequence[Hook] = ()) -> None:
    """Train ``state.model`` in place until the plan is done or a hook sets ``state.stop_reason``.

    .. code-block:: text

        for each epoch, from where the state stands:
            for each window of batches, in the epoch's own order:
                loss and gradients of the window        -> on_step_start
                clip                                    -> on_gradients
                set the learning rate, step             -> on_step_end
                save when it is time to
            evaluate                                    -> on_evaluation
            save

    Raises:
        NonFiniteLossError: the loss became NaN or infinite; the state is as it was before that batch (on a GPU the
            loss is read every 50 steps, so up to 49 later steps may have run).
    """
    model, optimizer = state.model, state.optimizer
    on_step_start, on_gradients, on_step_end = (
        listeners(hooks, moment) for moment in ("on_step_start", "on_gradients", "on_step_end")
    )
    # On a CPU the gradients of the step before are kept until the loss is seen to be finite, for the verdict if it is
    # not; on a GPU they go first, to make room.
    on_cpu = next((parameter.device.type == "cpu" for parameter in model.parameters()), True)
    running = RunningLoss(*state.extra.pop("running_loss", (0.0, 0)))
    started = time.perf_counter() - state.seconds
    while not _is_over(state, plan):
        for epoch_start in listeners(hooks, "on_epoch_start"):
            epoch_start(state)
        model.train()
        clear = gradient_clearer(optimizer)
        for window in windows(plan.batches.epoch(state.epoch, start=state.batch), plan.accumulate):
            state.in_step = True
            for step_start in on_step_start:
                step_start(state, window[0])
            if not on_cpu:
                clear()
            loss, count = backward(model, window, plan.step, clear=clear if on_cpu else None)
            running.add(loss, count)
            if not math.isfinite(running.total):
                raise nonfinite_error(state, window, float(loss.item()))
            if plan.clip_norm is not None:
                clip_gradients(model, plan.clip_norm)
            for gradients in on_gradients:
                gradients(state)
            if plan.schedule is not None:
                schedules.apply(plan.schedule, optimizer, state.step)
            optimizer.step()
            state.step += 1
            state.batch += len(window)
            state.examples += count
            state.in_step = False
            state.seconds = time.perf_counter() - started
            for step_end in on_step_end:
                step_end(state, loss)
            if plan.saver is not None:
                state.extra["running_loss"] = (running.total, running.count)
                plan.saver.after_step(state)
            if state.stop_reason is not None or state.step == plan.max_steps:
                break
        if state.batch >= len(plan.batches):
            state.epoch, state.batch = state.epoch + 1, 0
            _finish_epoch(state, plan, hooks, running.read())
            running = RunningLoss()
            state.extra.pop("running_loss", None)
            state.seconds = time.perf_counter() - started
            if plan.saver is not None:
                plan.saver.after_epoch(state)


def _is_over(state: TrainState, plan: Plan) -> bool:
    if state.stop_reason is not None:
        return True
    if plan.max_steps is not None and state.step >= plan.max_steps:
        return True
    return plan.max_epochs is not None and state.epoch >= plan.max_epochs


def _finish_epoch(state: TrainState, plan: Plan, hooks: Sequence[Hook], running_loss: float) -> None:
    """Evaluate, write the history and tell the hooks; what was trained on comes first."""
    state.history.append({"step": state.step, "epoch": state.epoch, "split": "running", "loss": running_loss})
    if plan.evaluate is None:
        return
    for split, metrics in plan.evaluate(state).items():
        record(state, split, metrics)
        for evaluation in listeners(hooks, "on_evaluation"):
            evaluation(state, split, metrics)


def record(state: TrainState, split: str, metrics: SplitMetrics, *, final: bool = False) -> None:
    """Take an evaluation into the state; those of whole splits at the end of a run are marked as final."""
    state.metrics[split] = metrics
    where = {"step": state.step, "epoch": state.epoch, "split": split}
    state.history.append({**where, **({"final": True} if final else {}), **values(metrics)})
