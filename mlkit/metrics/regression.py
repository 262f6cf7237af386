"""Metrics of numbers in the units the targets had before they were standardised: MAE, RMSE, R².

With several target columns, MAE is the mean of the columns' errors, RMSE the root of the mean of their squared errors,
R² the mean of the columns' R². Not here: the loss, which stays in the standardised units (`mlkit.metrics.losses`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mlkit.errors import ModelError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import positive, student, undefined
from mlkit.metrics.losses import align
from mlkit.metrics.streaming import Ratio, no_examples, wide


class Scale:
    """Brings standardised errors back to the original units.

    Args:
        std: what each target column was divided by; empty when nothing was.
    """

    def __init__(self, std: Sequence[float]) -> None:
        self.std = tuple(std)
        self._on_device: Tensor | None = None

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """Output minus target in original units, ``(N, K)``, in the widest dtype of the device."""
        first, second = align(output.detach(), target)
        errors = wide(first.flatten(1)) - wide(second.flatten(1))
        if not self.std:
            return errors
        if errors.shape[1] % len(self.std):
            raise ModelError(
                "the targets do not fit the task's standardisation",
                received=f"{errors.shape[1]} target columns",
                allowed=f"a multiple of {len(self.std)}, the number of standard deviations",
            )
        if self._on_device is None or self._on_device.device != errors.device:
            # Filled there, as copying a list to the device would wait for it.
            filled = [torch.full((), std, dtype=errors.dtype, device=errors.device) for std in self.std]
            self._on_device = torch.stack(filled)
        by_column = errors.reshape(len(errors), errors.shape[1] // len(self.std), len(self.std))
        return (by_column * self._on_device).flatten(1)


class MAE:
    """Mean absolute error.

    Args:
        std: what each target column was divided by; empty when nothing was.
    """

    name = "mae"
    higher_is_better = False

    def __init__(self, std: Sequence[float] = ()) -> None:
        self.scale, self.ratio = Scale(std), Ratio()

    def reset(self) -> None:
        self.ratio.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        errors = self.scale.errors(output, target).abs().mean(1)
        self.ratio.add(errors, torch.ones_like(errors))

    def compute(self) -> Estimate:
        return student(*self.ratio.read(self.name))

    def state(self) -> Mapping[str, Tensor]:
        return self.ratio.state()


class RMSE:
    """Root of the mean squared error; interval by the delta method on the logarithmic scale.

    Args:
        std: what each target column was divided by; empty when nothing was.
    """

    name = "rmse"
    higher_is_better = False

    def __init__(self, std: Sequence[float] = ()) -> None:
        self.scale, self.ratio = Scale(std), Ratio()

    def reset(self) -> None:
        self.ratio.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        squared = self.scale.errors(output, target).square().mean(1)
        self.ratio.add(squared, torch.ones_like(squared))

    def compute(self) -> Estimate:
        mean, variance, count = self.ratio.read(self.name)
        # d sqrt(m) = dm / (2 sqrt(m))
        return positive(mean**0.5, variance / (4 * mean) if mean else 0.0, count=count)

    def state(self) -> Mapping[str, Tensor]:
        return self.ratio.state()


class R2:
    """Share of the targets' variance that the predictions explain; below 0 when the mean would be better.

    Errors and targets are kept on the device, ``2 N K`` numbers: the interval needs their joint fourth moments about a
    mean that is known only at the end. The interval is that of ``1 - R²``, a positive ratio of two sums, by the delta
    method on the logarithmic scale.
    """

    name = "r2"
    higher_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.errors: list[Tensor] = []
        self.targets: list[Tensor] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        first, second = align(output.detach(), target)
        self.errors.append((first - second).flatten(1))
        self.targets.append(second.flatten(1).clone())

    def compute(self) -> Estimate:
        if not self.targets or not (count := sum(map(len, self.targets))):
            raise no_examples(self.name)
        squared_errors = wide(torch.cat(self.errors)).square()
        targets = wide(torch.cat(self.targets))
        if not bool(squared_errors.isfinite().all() & targets.isfinite().all()):
            return undefined("some outputs or targets are not finite", count=count)
        if bool((targets == targets[0]).all(0).any()):  # the variance of equal numbers can round to more than 0
            return undefined("a target column is constant", count=count)
        squared_deviations = (targets - targets.mean(0)).square()
        spread = squared_deviations.sum(0)
        ratios = squared_errors.sum(0) / spread
        # How much each example moves the mean of the columns' ratios.
        influence = ((squared_errors - ratios * squared_deviations) / spread).mean(1)
        unexplained, variance = float(ratios.mean()), float(influence.square().sum()) * count / (count - 1)
        rest = positive(unexplained, variance, count=count)
        low, high = (None if end is None else 1 - end for end in (rest.high, rest.low))
        return Estimate(1 - unexplained, low, high, count, rest.method)

    def state(self) -> Mapping[str, Tensor]:
        if not self.targets:
            return {}
        return {"errors": torch.cat(self.errors), "targets": torch.cat(self.targets)}
