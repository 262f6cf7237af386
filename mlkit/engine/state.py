"""`TrainState`: everything that changes while a model is trained, in one place.

Not here: how it changes (`mlkit.engine.loop`) and how it is written to disk (`mlkit.engine.checkpoint`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from mlkit.metrics.estimate import Estimate

Status = Literal["running", "completed", "stopped", "interrupted", "failed"]
SplitMetrics = dict[str, Estimate]


@dataclass
class TrainState:
    """The state of one run.

    Args:
        model: the model being trained; with an exponential moving average its copy is in ``averaged``.
        optimizer: its optimiser.
        step: optimiser steps done.
        epoch: epochs completed.
        batch: batches done within the epoch under way.
        examples: examples seen, all epochs together.
        seconds: training time so far, earlier parts of a resumed run included.
        history: one dictionary an evaluation: ``step``, ``epoch``, ``split`` and the values by metric name.
        best: best value of the monitored metric so far, and at which step.
        stop_reason: set by a hook (or the loop) to end the run after the current step; None while it goes on.
        signal: number of the signal that asked the run to stop, if one did.
        status: how the run stands.
        max_steps: planned optimiser steps in all, as far as known; schedules and progress bars read it.
        max_epochs: planned epochs in all, as far as known.
        batches_per_epoch: batches in an epoch.
        in_step: a step is under way, so weights, buffers and random streams do not fit together just now.
        about: plain facts of the run, which checkpoints keep too: data fingerprint, device, speed.
        metrics: the newest metrics of each split; at the end of a run those of whole splits, ``test`` among them.
        averaged: the model with averaged weights, or None.
        extra: what hooks keep across a resume, by hook name; plain numbers, text and tensors only.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    epoch: int = 0
    batch: int = 0
    examples: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    best_step: int | None = None
    stop_reason: str | None = None
    signal: int | None = None
    status: Status = "running"
    max_steps: int | None = None
    max_epochs: int | None = None
    batches_per_epoch: int = 0
    in_step: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, SplitMetrics] = field(default_factory=dict)
    averaged: nn.Module | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def eval_model(self) -> nn.Module:
        """The model to judge: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged

    @property
    def learning_rate(self) -> float:
        """Learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])
