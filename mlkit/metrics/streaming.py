"""Streaming metrics: what a metric is, and the sums on the device that most of them are made of.

Not here: the single metrics (`classification`, `regression`, `tokens`, `auc`) and their intervals (`intervals`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from mlkit.errors import DataError, ModelError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import student, undefined
from mlkit.metrics.objectives import Directed

LossFunction = Callable[[Tensor, Tensor], Tensor]


class StreamingMetric(Directed, Protocol):
    """What evaluation needs of a metric. `update` never waits for the device; `compute` does, once."""

    def reset(self) -> None:
        """Forget everything."""

    def update(self, output: Tensor, target: Tensor) -> None:
        """Take in a batch: the model's raw output and the targets, first axis = examples."""

    def compute(self) -> Estimate:
        """The value over all examples so far; NaN, and why, where it is not defined.

        Raises:
            DataError: there was no example.
        """


class Metric(StreamingMetric, Protocol):
    """A metric of ours, which also shows what it has gathered."""

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
        if self.totals is None:
            return {}
        return {"totals": self.totals, "count": torch.full((), self.count, device=self.totals.device)}


class Ratio:
    """A sum of parts over a sum of wholes, with examples as the independent units.

    With wholes of 1 it is the mean and its variance. Source: the ratio estimator, Cochran, Sampling Techniques (1977),
    section 2.11.
    """

    def __init__(self) -> None:
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def add(self, parts: Tensor, wholes: Tensor) -> None:
        """Add one part and one whole an example, both ``(N,)``; examples with a whole of 0 do not count."""
        parts, wholes = wide(parts.detach()), wide(wholes)
        parts = parts.where(wholes != 0, 0.0)
        self.sums.add(parts, wholes, parts.square(), parts * wholes, wholes.square(), wholes != 0)

    def read(self, name: str) -> tuple[float, float, int]:
        """The ratio, its variance, and how many examples count; waits for the device."""
        parts, wholes, parts2, product, wholes2, counted = self.sums.read(name)
        if not counted:
            return 0.0, 0.0, 0
        ratio, count = parts / wholes, int(counted)
        # The sum of squared residuals of a part from its whole's share; rounding can make it negative.
        residual = parts2 - 2 * ratio * product + ratio * ratio * wholes2
        return ratio, (0.0 if residual < 0 else residual) * count / max(count - 1, 1) / wholes / wholes, count

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


class Loss:
    """Mean of a loss over examples.

    Args:
        loss_fn: ``loss_fn(output, target)`` is the mean over a batch; with a method ``per_example(output, target)``
            of shape ``(N,)``, as the losses of `loss_for` have it, the mean gets an interval. With a method
            ``terms(target)`` beside it, also ``(N,)``, which says how many terms each example's loss is the mean of,
            the mean is over terms, such as tokens, as it is in training.
        name: name in tables and files.
    """

    higher_is_better = False

    def __init__(self, loss_fn: LossFunction, *, name: str = "loss") -> None:
        self.name = name
        self.loss_fn = loss_fn
        self.per_example: LossFunction | None = getattr(loss_fn, "per_example", None)
        self.terms: Callable[[Tensor], Tensor] | None = getattr(loss_fn, "terms", None) if self.per_example else None
        self.ratio = Ratio()

    def reset(self) -> None:
        self.ratio.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        count = len(target)
        losses = (self.per_example or self.loss_fn)(at_least_single(output), target).detach()
        if losses.shape not in ((), (count,)) or (self.per_example and losses.ndim == 0):
            raise ModelError(
                "the loss function does not give one number",
                received=f"a loss of shape {tuple(losses.shape)} for {count} examples",
                allowed=f"({count},), one loss an example" if self.per_example else "(), the mean over the batch",
                todo=None if self.per_example else 'leave reduction="mean", or take the mean over all other axes',
            )
        terms = torch.ones_like(losses).expand(count) if self.terms is None else self.terms(target)
        self.ratio.add(wide(losses).expand(count) * terms, terms)

    def compute(self) -> Estimate:
        mean, variance, count = self.ratio.read(self.name)
        if not count:
            return undefined("no target counts")
        if self.per_example is None:
            return Estimate(mean, count=count, method="none: the losses of single examples are not known")
        return student(mean, variance, count)

    def state(self) -> Mapping[str, Tensor]:
        return self.ratio.state()


def wide(x: Tensor) -> Tensor:
    """``x`` in float64, or in float32 where the device has nothing wider (Apple's)."""
    return x.float() if x.device.type == "mps" else x.double()


def at_least_single(x: Tensor) -> Tensor:
    """``x`` in float32 where it is narrower: 8 or 11 bits are too few for a loss."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def no_examples(name: str) -> DataError:
    """The error for a metric of an empty split."""
    return DataError(
        f"{name} of an empty split",
        received="0 examples",
        allowed="at least one example",
        todo="check the split's size; a validation share of very few examples can round down to none",
    )
