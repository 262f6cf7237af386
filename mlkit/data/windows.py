"""Windows of a long series or text, cut so that none reaches over the border of its split.

Not here: what the series is (`mlkit.data.forecasting`, `mlkit.data.text`) and how a window is gathered
(`mlkit.data.splits.WindowSplit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from mlkit.data.partition import subset
from mlkit.data.splits import WindowSplit
from mlkit.errors import ConfigError, DataError, Problem

_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class Windowing:
    """The shape of a window and how windows follow one another.

    Args:
        context: steps of input.
        horizon: steps to forecast after it; 0 means the next token at every step.
        stride: steps from the start of one training window to that of the next.
        eval_stride: likewise in ``val`` and ``test``.
        target_columns: the columns that are forecast.
        borrow_context: windows of ``val`` and ``test`` may take their input, never their target, from the steps
            before their split.
    """

    context: int
    horizon: int = 0
    stride: int = 1
    eval_stride: int = 1
    target_columns: tuple[int, ...] = (0,)
    borrow_context: bool = False

    @property
    def length(self) -> int:
        """Steps that a window covers, the target included."""
        return self.context + max(self.horizon, 1)


def check_windowing(windowing: Windowing, *, least_horizon: int, limit: int | None) -> None:
    """Refuse windows that cannot be meant.

    Args:
        windowing: the shape of a window.
        least_horizon: 1 where something is forecast, 0 where the next token is predicted.
        limit: training windows to keep.

    Raises:
        ConfigError: all that is wrong, together.
    """
    settings = {
        "context": (windowing.context, 1),
        "horizon": (windowing.horizon, least_horizon),
        "stride": (windowing.stride, 1),
        "limit": (2 if limit is None else limit, 2),
    }
    problems = [
        Problem(f"data.{name} is too small", received=str(value), allowed=f"{least} or more")
        for name, (value, least) in settings.items()
        if value < least
    ]
    if problems:
        raise ConfigError(problems)


def borders_of(length: int, *, val_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """Where train, val and test end, in time order; a fraction of 0 makes an empty split.

    Raises:
        ConfigError: the shares leave nothing to train on.

    >>> borders_of(100, val_fraction=0.1, test_fraction=0.2)
    (70, 80, 100)
    """
    if val_fraction <= 0 or test_fraction < 0 or val_fraction + test_fraction >= 1:
        raise ConfigError(
            "the shares of the held-out splits cannot be right",
            received=f"val_fraction={val_fraction}, test_fraction={test_fraction}",
            allowed="val_fraction above 0, test_fraction 0 or more, together below 1",
        )
    test = round(length * test_fraction)
    return length - test - round(length * val_fraction), length - test, length


def check_borders(name: str, borders: Sequence[int], length: int) -> None:
    """Refuse borders that are not the ends of train, val and, where there is one, test within ``length`` steps.

    Raises:
        ConfigError: too few or too many, not in order, or beyond the series.
    """
    if len(borders) not in (2, 3) or not 0 < borders[0] < borders[1] <= borders[-1] <= length:
        raise ConfigError(
            f"{name}: the borders of the splits cannot be right",
            received=", ".join(map(str, borders)),
            allowed=f"the ends of train, val and test, ascending, up to {length:,}",
        )


def window_splits(
    name: str, series: Tensor, borders: Sequence[int], windowing: Windowing, *, limit: int | None = None, seed: int = 0
) -> dict[str, WindowSplit]:
    """Windows of the contiguous parts ``[0, borders[0])``, ``[borders[0], borders[1])``, … as train, val and test.

    Args:
        name: of the data set, for messages.
        series: ``(L,)`` tokens or ``(L, C)`` values, in time order.
        borders: where the splits end. Two equal ones make an empty split, which is left out.
        windowing: the shape of a window.
        limit: training windows to keep, chosen at random over the whole of ``train``; ``val`` shrinks in proportion
            and ``test`` is not touched.
        seed: key of that choice.

    Returns:
        The splits by name; each keeps its own steps only, so nothing of another split can be reached from it.

    Raises:
        ConfigError: the borders are not in order, or lie beyond the series.
        DataError: a split is too short for a window.
    """
    check_borders(name, borders, len(series))
    ends = [0, *borders]
    parts = {split: bounds for split, bounds in zip(_NAMES, pairwise(ends), strict=False) if bounds[0] < bounds[1]}
    problems = [
        problem
        for split, bounds in parts.items()
        if (problem := _too_short(name, split, bounds, windowing)) is not None
    ]
    if problems:
        raise DataError(problems)
    splits = {split: _windows(series, split, bounds, windowing) for split, bounds in parts.items()}
    return splits if limit is None else _limited(splits, limit, seed=seed)


def _borrowed(split: str, begin: int, windowing: Windowing) -> int:
    """Steps before the split that its windows may read."""
    return min(begin, windowing.context) if windowing.borrow_context and split != "train" else 0


def _too_short(name: str, split: str, bounds: tuple[int, int], windowing: Windowing) -> Problem | None:
    begin, end = bounds
    if end - begin + _borrowed(split, begin, windowing) >= windowing.length:
        return None
    target = f"{windowing.horizon} to forecast" if windowing.horizon else "one to predict"
    return Problem(
        f"{name}: the {split} split is too short for a window",
        received=f"{end - begin:,} steps",
        allowed=f"at least {windowing.length:,}: {windowing.context} of context and {target}",
        todo="ask for a shorter context or horizon, give the split a larger share, or use more data",
    )


def _windows(series: Tensor, split: str, bounds: tuple[int, int], windowing: Windowing) -> WindowSplit:
    begin, end = bounds
    own = series[begin - _borrowed(split, begin, windowing) : end]
    stride = windowing.stride if split == "train" else windowing.eval_stride
    return WindowSplit(
        series=own,
        starts=torch.arange(0, len(own) - windowing.length + 1, stride),
        context=windowing.context,
        horizon=windowing.horizon,
        target_columns=windowing.target_columns,
    )


def _limited(splits: Mapping[str, WindowSplit], limit: int, *, seed: int) -> dict[str, WindowSplit]:
    share = min(1.0, limit / len(splits["train"]))
    sizes = {"train": limit, "val": max(1, round(share * len(splits["val"])))}
    chosen = {
        name: splits[name].subset(subset(len(splits[name]), size, seed=seed, purpose=f"limit-{name}"))
        for name, size in sizes.items()
    }
    return {**splits, **chosen}
