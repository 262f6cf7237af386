"""`Evidence`: the facts of a finished run that suggestions follow from, and nothing that is not a fact.

Not here: what they suggest (`mlkit.report.suggestions`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlkit.engine.result import FitResult
from mlkit.engine.state import SplitMetrics
from mlkit.errors import ConfigError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.objectives import direction
from mlkit.runtime.nested import dotted
from mlkit.task import Task


@dataclass(frozen=True)
class Evidence:
    """What is known of a run.

    Args:
        metrics: final metrics of every split.
        history: one dictionary an evaluation.
        status: how the run ended.
        epochs: epochs done.
        steps: optimiser steps done.
        max_epochs: planned epochs.
        max_steps: planned steps.
        learning_rate: base learning rate.
        task: what the data are.
        settings: the run's settings by dotted name; a setting that is not among them is never suggested. None: not
            known, then only settings that every run has are suggested.
        overrides: what the run was started with, such as ``("data=mnist", "seed=1")``; suggestions repeat it.
        folder: the run folder as it is to be typed.
    """

    metrics: Mapping[str, SplitMetrics]
    history: Sequence[Mapping[str, Any]]
    status: str = "completed"
    epochs: int = 0
    steps: int = 0
    max_epochs: int | None = None
    max_steps: int | None = None
    learning_rate: float | None = None
    task: Task | None = None
    settings: Mapping[str, Any] | None = None
    overrides: Sequence[str] = field(default=())
    folder: str | None = None

    def setting(self, name: str) -> Any:
        """The value of a setting; None where it is not known or not set."""
        return None if self.settings is None else self.settings.get(name)

    def has(self, name: str) -> bool:
        """Whether the run's data and model have this setting."""
        return self.settings is not None and name in self.settings

    def losses(self, split: str) -> list[tuple[int, float]]:
        """Epoch and loss of every evaluation of ``split`` during the run."""
        lines = (line for line in self.history if line["split"] == split and not line.get("final") and "loss" in line)
        return list({line["epoch"]: line["loss"] for line in lines}.items())

    @property
    def main(self) -> str | None:
        """The metric that is compared between splits: the first after the loss that has an interval, else the loss."""
        train, val = self.metrics.get("train", {}), self.metrics.get("val", {})
        names = [name for name in train if name in val and _has_interval(train[name]) and _has_interval(val[name])]
        # R² before the errors in the target's own unit: it has a scale on which low and high mean something.
        names.sort(key=lambda name: (name == "loss", name != "r2"))
        return names[0] if names else None


def evidence_of(
    result: FitResult,
    *,
    settings: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    folder: str | None = None,
    task: Task | None = None,
) -> Evidence:
    """The evidence in a result; the rest as in `Evidence`, with ``settings`` nested or flat."""
    state = result.state
    group = state.optimizer.param_groups[0]
    return Evidence(
        result.metrics,
        result.history,
        status=state.status,
        epochs=state.epoch,
        steps=state.step,
        max_epochs=state.max_epochs,
        max_steps=state.max_steps,
        learning_rate=float(group.get("initial_lr", group["lr"])),
        task=task,
        settings=None if settings is None else dotted(settings),
        overrides=overrides,
        folder=folder,
    )


def clearly_better(a: Estimate, b: Estimate, name: str) -> bool:
    """Whether the 95 % intervals of ``a`` and ``b`` do not overlap and ``a`` is on the better side."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low > b.high if larger_is_better(name) else a.high < b.low


def larger_is_better(name: str) -> bool:
    """Which way a metric goes; one of the person's own is taken for a score."""
    try:
        return direction(name) == "max"
    except ConfigError:
        return True


def _has_interval(estimate: Estimate) -> bool:
    return estimate.low is not None and math.isfinite(estimate.value)
