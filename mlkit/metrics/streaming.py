"""Streaming metrics: what a metric is, and the sums on the device that most of them are made of.

Not here: the single metrics (`classification`, `regression`, `tokens`, `auc`) and their intervals (`intervals`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from mlkit.errors import DataError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import normal_mean

LossFunction = Callable[[Tensor, Tensor], Tensor]


class Metric(Protocol):
    """A metric fed by batches. `update` never waits for the device; `compute` does, once."""

    @property
    def name(self) -> str:
        """Name in tables and files."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is better."""

    def reset(self) -> None:
        """Forget everything."""

    def update(self, output: Tensor, target: Tensor) -> None:
        """Take in a batch: the model's raw output and the targets, first axis = examples."""

    def compute(self) -> Estimate:
        """The value over all examples so far.

        Raises:
            DataError: there was no example.
        """

    def state(self) -> Mapping[str, Tensor]:
        """What was gathered so far, on the device: sums, or one row an example."""


class Sums:
    """Totals of a few quantities, in float64 on the device of the first batch, and the number of examples.

    Weighting by examples follows from adding up: no batch size enters, so ragged batches count as they should.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.totals: Tensor | None = None
        self.count = 0

    def add(self, *columns: Tensor) -> None:
        """Add one value an example and column; each column has shape ``(N,)``."""
        rows = torch.stack([wide(column.detach()) for column in columns])
        totals = rows.sum(1)
        self.totals = totals if self.totals is None else self.totals + totals
        self.count += rows.shape[1]

    def read(self, name: str) -> list[float]:
        """The totals, in the order of the columns; waits for the device."""
        if self.totals is None or self.count == 0:
            raise no_examples(name)
        values: list[float] = self.totals.tolist()
        return values

    def state(self) -> Mapping[str, Tensor]:
        return {} if self.totals is None else {"totals": self.totals, "count": torch.tensor(self.count)}


class Loss:
    """Mean of a loss over examples.

    Args:
        loss_fn: ``loss_fn(output, target)`` is the mean over a batch; with a method ``per_example(output, target)``
            of shape ``(N,)``, as the losses of `loss_for` have it, the mean gets an interval.
        name: name in tables and files.
    """

    higher_is_better = False

    def __init__(self, loss_fn: LossFunction, *, name: str = "loss") -> None:
        self.name = name
        self.loss_fn = loss_fn
        self.per_example: LossFunction | None = getattr(loss_fn, "per_example", None)
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        if self.per_example is None:
            losses = self.loss_fn(output, target).detach().expand(len(target))
        else:
            losses = self.per_example(output, target).detach()
        losses = wide(losses)
        self.sums.add(losses, losses.square())

    def compute(self) -> Estimate:
        total, squares = self.sums.read(self.name)
        count = self.sums.count
        if self.per_example is None:
            return Estimate(total / count, count=count, method="none: the losses of single examples are not known")
        return normal_mean(total, squares, count)

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


def wide(x: Tensor) -> Tensor:
    """``x`` in float64, or in float32 where the device has nothing wider (Apple's)."""
    return x.float() if x.device.type == "mps" else x.double()


def no_examples(name: str) -> DataError:
    """The error for a metric of an empty split."""
    return DataError(
        f"{name} of an empty split",
        received="0 examples",
        allowed="at least one example",
        todo="check the split's size; a validation share of very few examples can round down to none",
    )
