"""Standardising with the statistics of the training examples: inputs, missing values, categorical codes, targets.

Not here: which examples are the training examples (`mlkit.data.partition`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlkit.data.source import Source
from mlkit.data.splits import Affine

Inputs = tuple[Tensor, ...]
_CHUNK = 1 << 22  # numbers added up at a time, 32 MiB as float64


@dataclass(frozen=True)
class Standardizer:
    """What was learned from the training inputs, applied to those of every split.

    Args:
        mean: subtracted from the first input, broadcast against it; None leaves the values as they are.
        std: what it is then divided by; zero (a constant column) counts as one.
        missing: columns with missing values in training; each gets an indicator column, appended in this order.
        prepare: standardises compact inputs when they are gathered; then ``mean`` is None.
        padded: the last input holds lengths; what lies beyond them becomes zero.
        dtype: what the first input is stored as; None leaves it.
    """

    mean: Tensor | None = None
    std: Tensor | None = None
    missing: tuple[int, ...] = ()
    prepare: Affine | None = None
    padded: bool = False
    dtype: torch.dtype | None = torch.float32

    @classmethod
    def of(cls, source: Source, train: Inputs) -> Standardizer:
        """Learn from the training inputs.

        Args:
            source: says what to standardise by, and the unit.
            train: the inputs of the training examples alone.
        """
        kind, first, padded = source.task.input_kind, train[0], source.task.has_lengths
        if kind == "tokens":
            return cls(dtype=torch.int64)
        compact = first.dtype == torch.uint8 and kind == "image"
        axes = _reduced_axes(source, first)
        if axes is None:
            if compact:
                return cls(prepare=Affine(torch.tensor(1.0 / source.unit), torch.tensor(0.0)), dtype=torch.uint8)
            return cls(padded=padded, dtype=None if kind == "other" else torch.float32)
        if compact:
            mean, std = byte_moments(first)
            mean, std = mean / source.unit, std / source.unit
            prepare = Affine.standardize(mean[:, None, None], std[:, None, None], unit=source.unit)
            return cls(prepare=prepare, dtype=torch.uint8)
        mean, std = moments(_hide_padding(train) if padded else first, axes)
        missing: tuple[int, ...] = ()
        if source.standardize == "feature" and first.ndim == 2 and first.is_floating_point():
            missing = tuple(torch.where(first.isnan().any(dim=0))[0].tolist())
        return cls(mean=mean, std=std, missing=missing, padded=padded)

    def apply(self, inputs: Inputs) -> Inputs:
        """The inputs of any split, standardised; the given tensors are not changed."""
        first = inputs[0] if self.dtype is None else inputs[0].to(self.dtype)
        if self.mean is not None and self.std is not None:
            first = (first - self.mean) / torch.where(self.std > 0, self.std, torch.ones_like(self.std))
        if self.padded:
            first = torch.where(_within(first, inputs[-1]), first, torch.zeros_like(first))
        if self.mean is not None:
            first = first.nan_to_num(nan=0.0)  # a missing value becomes the training mean
        if self.missing:
            indicators = inputs[0][:, list(self.missing)].isnan()
            first = torch.cat([first, indicators.to(first.dtype)], dim=1)
        return (first, *inputs[1:])


def moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation over ``axes`` in float64, NaN ignored, as float32 with the axes kept.

    NumPy, since it adds up in one fixed order: torch's sums depend on the number of threads in their last bits, and
    the fingerprint would with them. In chunks along axis 0 (which must be among ``axes``), so that no float64 copy of
    everything is made. Where all values are missing the mean is 0 and the deviation 0; the deviation of a constant is
    exactly 0.

    >>> mean, std = moments(torch.tensor([[1.0], [3.0], [float("nan")]]), (0,))
    >>> mean.item(), std.item()
    (2.0, 1.0)
    """
    rows = max(1, _CHUNK // max(1, x[:1].numel()))
    chunks = [part.cpu().numpy() for part in torch.split(x.detach(), rows)]  # views
    count = total = squares = np.zeros([1 if axis in axes else n for axis, n in enumerate(x.shape)])
    low, high = np.full_like(total, np.inf), np.full_like(total, -np.inf)
    for values in chunks:
        known = ~np.isnan(values)
        count = count + known.sum(axis=axes, keepdims=True)
        total = total + np.where(known, values, 0).sum(axis=axes, keepdims=True, dtype=np.float64)
        low = np.minimum(low, np.where(known, values, np.inf).min(axis=axes, keepdims=True))
        high = np.maximum(high, np.where(known, values, -np.inf).max(axis=axes, keepdims=True))
    count = np.maximum(count, 1)
    mean = total / count
    for values in chunks:
        squares = squares + np.where(np.isnan(values), 0.0, (values - mean) ** 2).sum(axis=axes, keepdims=True)
    std = np.where(high > low, np.sqrt(squares / count), 0.0)
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def byte_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each channel of uint8 ``(N, C, H, W)``, float64 ``(C,)``.

    From the histogram and in whole numbers until the last step, so the same on every machine, and without a float copy
    of the images.

    >>> byte_moments(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1))
    (tensor([127.5000], dtype=torch.float64), tensor([127.5000], dtype=torch.float64))
    """
    mean, std = [], []
    for channel in range(images.shape[1]):
        histogram = torch.bincount(images[:, channel].reshape(-1), minlength=256).tolist()
        count = sum(histogram)
        total = sum(n * level for level, n in enumerate(histogram))
        squares = sum(n * level**2 for level, n in enumerate(histogram))
        mean.append(total / count)
        std.append(math.sqrt(count * squares - total**2) / count)
    return torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)


def recode_categories(inputs: Mapping[str, Inputs]) -> tuple[dict[str, Inputs], tuple[int, ...]]:
    """Renumber the codes of every categorical column (the second input) as 1, 2, … in the order of ``train``'s codes.

    0 stays "missing", and what ``train`` has never seen becomes 0 too.

    Returns:
        The inputs by split, and the number of codes of each column, 0 included.
    """
    columns = [torch.unique(column) for column in inputs["train"][1].unbind(1)]
    columns = [seen[seen > 0] for seen in columns]

    def recode(codes: Tensor) -> Tensor:
        recoded = [_position(seen, column) for seen, column in zip(columns, codes.unbind(1), strict=True)]
        return torch.stack(recoded, dim=1) if recoded else codes

    cardinalities = tuple(len(seen) + 1 for seen in columns)
    return {name: (split[0], recode(split[1]), *split[2:]) for name, split in inputs.items()}, cardinalities


def _position(seen: Tensor, codes: Tensor) -> Tensor:
    """Where each code stands among the ascending ``seen``, from 1; 0 where it does not. Codes may be any large."""
    if len(seen) == 0:
        return torch.zeros_like(codes, dtype=torch.int64)
    place = torch.searchsorted(seen, codes.contiguous()).clamp(max=len(seen) - 1)
    return torch.where(seen[place] == codes, place + 1, 0)


def standardize_targets(
    targets: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], tuple[float, ...], tuple[float, ...]]:
    """Regression targets in units of ``train``'s standard deviation around its mean, per column.

    Returns:
        The targets by split, the mean and the deviation; a constant column keeps deviation 1.
    """
    mean, std = moments(targets["train"], (0,))
    std = torch.where(std > 0, std, torch.ones_like(std))
    scaled = {name: (y - mean) / std for name, y in targets.items()}
    return scaled, tuple(mean[0].tolist()), tuple(std[0].tolist())


def _reduced_axes(source: Source, first: Tensor) -> tuple[int, ...] | None:
    """The axes that statistics run over: all but the channel's or the column's."""
    if source.standardize == "none":
        return None
    if source.standardize == "feature":
        return (0,)
    channel = 1 if source.task.input_kind == "image" else first.ndim - 1
    return tuple(axis for axis in range(first.ndim) if axis != channel)


def _within(first: Tensor, lengths: Tensor) -> Tensor:
    """True at the steps before each example's length, ``(N, T, 1, …)``."""
    mask = torch.arange(first.shape[1])[None, :] < lengths[:, None]
    return mask.reshape(*mask.shape, *(1,) * (first.ndim - 2))


def _hide_padding(inputs: Inputs) -> Tensor:
    """The first input with NaN beyond each length, so that padding is in no statistic."""
    return torch.where(_within(inputs[0], inputs[-1]), inputs[0].float(), torch.tensor(float("nan")))
