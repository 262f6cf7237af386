"""Slices: groups of rows, by the values of one feature or two, in which the error is larger than elsewhere.

Not here: single rows (`mlkit.evaluate.worst`) and confused classes (`mlkit.evaluate.confusion`).

Source: the correction for many slices is Westfall and Young's (Resampling-Based Multiple Testing, 1993): the largest
statistic of all slices, with the errors shuffled over the rows. The search goes over all slices of one feature and two,
as in Chung et al., Slice Finder, ICDE 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.evidence import Errors, evidence_of
from mlkit.evaluate.outputs import Floats, Predictions, numbers
from mlkit.evaluate.terms import wrapped
from mlkit.metrics.intervals import Z95, wilson_bounds
from mlkit.runtime.keys import derive_seed

PARTS = 4  # quarters of a column of numbers
VALUES = 8  # of a category that are slices of their own; the others are one
SHUFFLES = 400
MOST_FEATURES = 24  # for pairs: 24 features of 4 parts are 4,500 slices; more take minutes and cost power
ALPHA = 0.05
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """Rows with an error above that of the others.

    Args:
        name: the condition.
        count: rows.
        error: mean error or loss of its rows.
        low: lower end of the 95 % interval of ``error``.
        high: upper end.
        rest: mean error of all other rows.
        excess: share of all error that would vanish were this slice as good as the rest.
        p_value: corrected for all slices looked at.
        rows: their numbers.
    """

    name: str
    count: int
    error: float
    low: float
    high: float
    rest: float
    excess: float
    p_value: float
    rows: NDArray[np.int64] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Slices:
    """Where the error concentrates.

    Args:
        found: slices that are resolved, the clearest first.
        looked_at: slices in all.
        error: mean of all rows.
        count: rows.
    """

    found: tuple[Slice, ...]
    looked_at: int
    error: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without the rows."""
        return {
            "found": [{k: v for k, v in vars(one).items() if k != "rows"} for one in self.found],
            "looked_at": self.looked_at,
            "error": self.error,
            "count": self.count,
        }

    def __str__(self) -> str:
        lines = [f"{self.looked_at:,} slices of {self.count:,} rows; mean error {self.error:.4f}"]
        if not self.found:
            lines.append("  in none is the error resolved to be larger than elsewhere")
        for one in self.found:
            text = (
                f"{one.name}: {one.error:.4f} [{one.low:.4f}, {one.high:.4f}] in {one.count:,} rows, elsewhere "
                f"{one.rest:.4f}; {one.excess:.0%} of the error, p = {one.p_value:.2g} corrected"
            )
            lines += wrapped(text, first="  ", rest="    ")
        return "\n".join(lines)


def slices(
    x: Predictions,
    errors: Errors,
    *,
    features: Sequence[str] | None = None,
    categorical: Sequence[int] = (),
    pairs: bool = True,
    fewest: int | None = None,
    most: int = 5,
    seed: int = 0,
) -> Slices:
    """Search all slices of one feature and of two for those with more error than the rest.

    Args:
        x: ``(n, columns)`` numbers; categories coded as whole numbers; NaN is a value of its own. Need not be what the
            model saw: a column of lengths, sources or dates does as well.
        errors: ``(n,)`` error (0 or 1) or loss of each row.
        features: names of the columns.
        categorical: numbers of the columns that are categories; columns of at most eight values are taken as such.
        pairs: of features too.
        fewest: rows of a slice; by default the larger of 20 and 1 % of the rows.
        most: slices to name.
        seed: of the shuffles.

    Returns:
        The slices whose corrected p-value is at most 0.05. After the first, a slice has to be as clear on the rows that
        are in none of those before it: parts of a slice and slices that hold one say nothing new.

    Raises:
        ConfigError: pairs of too many features.
        DataError: errors that do not fit the rows.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.integers(0, 3, (600, 2))
    >>> slices(x, rng.random(600) < np.where(x[:, 1] == 2, 0.5, 0.1), features=["a", "b"]).found[0].name
    'b = 2'
    """
    table, losses = _checked(x, errors, features)
    n, width = table.shape
    if pairs and width > MOST_FEATURES:
        raise ConfigError(
            "too many features for pairs", received=width, allowed=f"up to {MOST_FEATURES}",
            todo="pairs=False, or choose columns",
        )  # fmt: skip
    names = list(features) if features is not None else [f"column {k}" for k in range(width)]
    smallest = max(20, n // 100) if fewest is None else fewest
    columns = [_parts(table[:, k], names[k], is_category=k in categorical) for k in range(width)]
    singles = [part for parts in columns for part in parts if smallest <= part[1].sum() <= n - smallest]
    candidates = list(singles)
    if pairs:
        candidates += list(_pairs(columns, n, smallest))
    if not candidates:
        return Slices((), 0, float(losses.mean()), n)
    masks = np.stack([mask for _, mask in candidates])
    statistics, largest = _statistics(masks, losses), _largest_by_chance(masks, losses, seed=seed)
    p_values = (1 + (largest[None, :] >= statistics[:, None] - 1e-5).sum(1)) / (1 + SHUFFLES)
    critical = float(np.quantile(largest, 1 - ALPHA))
    chosen: list[int] = []
    left = np.ones(n, dtype=bool)
    while len(chosen) < most:
        now = _statistics(masks[:, left], losses[left])
        place = int(now.argmax())
        if now[place] <= critical or p_values[place] > ALPHA:
            break
        chosen.append(place)
        left &= ~masks[place]
        if left.sum() < smallest:
            break
    found = [_slice(candidates[place][0], masks[place], losses, float(p_values[place])) for place in chosen]
    return Slices(tuple(found), len(candidates), float(losses.mean()), n)


def _checked(x: Predictions, errors: Errors, features: Sequence[str] | None) -> tuple[Floats, Floats]:
    table, losses = numbers(x), evidence_of(errors, "the rows").rows
    if table.ndim != 2 or table.dtype.kind not in "fiub" or losses is None or len(losses) != len(table):
        raise DataError(
            "features and errors are not of the same rows",
            received=f"features {table.shape}, {table.dtype}",
            allowed="(n, columns) numbers and (n,) errors",
        )
    if features is not None and len(features) != table.shape[1]:
        raise DataError("not one name a column", received=f"{len(features)} names", allowed=f"{table.shape[1]}")
    return table.astype(np.float64), losses


def _parts(column: Floats, name: str, *, is_category: bool) -> list[tuple[str, Mask]]:
    """Name and rows of each part of a column."""
    missing = ~np.isfinite(column)
    parts = [(f"{name} is missing", missing)] if missing.any() else []
    values, counts = np.unique(column[~missing], return_counts=True)
    if is_category or len(values) <= VALUES:
        common = values[np.argsort(-counts, kind="stable")][:VALUES]
        parts += [(f"{name} = {value:g}", column == value) for value in common]
        if len(values) > VALUES:
            parts.append((f"{name} is another value", ~missing & ~np.isin(column, common)))
        return parts
    edges = np.unique(np.quantile(column[~missing], np.linspace(0, 1, PARTS + 1)[1:-1]))
    places = np.searchsorted(edges, column, side="left")
    for k in range(len(edges) + 1):
        low = "" if k == 0 else f"{edges[k - 1]:.4g} < "
        high = "" if k == len(edges) else f" <= {edges[k]:.4g}"
        parts.append((f"{low}{name}{high}", ~missing & (places == k)))
    return parts


def _pairs(columns: Sequence[Sequence[tuple[str, Mask]]], n: int, smallest: int) -> list[tuple[str, Mask]]:
    found = []
    for first, parts in enumerate(columns):
        for others in columns[first + 1 :]:
            for name, mask in parts:
                for other, second in others:
                    both = mask & second
                    if smallest <= both.sum() <= n - smallest:
                        found.append((f"{name} and {other}", both))
    return found


def _statistics(masks: Mask, losses: Floats) -> Floats:
    """How far each slice's mean is above that of the other rows, in standard errors.

    The spread is that of all rows, which under the null hypothesis is every slice's: a slice of a few rows without an
    error then has no spread of 0 to be divided by.
    """
    scale = _scale(masks, losses)
    return np.asarray(np.where(scale > 0, (masks @ (losses - losses.mean())) / np.maximum(scale, 1e-300), 0.0))


def _scale(masks: Mask, losses: Floats) -> Floats:
    n, sizes = len(losses), masks.sum(1).astype(np.float64)
    return np.asarray(float(losses.std()) * np.sqrt(sizes * (n - sizes) / max(n - 1, 1)), dtype=np.float64)


def _largest_by_chance(masks: Mask, losses: Floats, *, seed: int) -> Floats:
    """The largest statistic of all slices, for errors shuffled over the rows, again and again."""
    scale = _scale(masks, losses)
    rng = np.random.default_rng(derive_seed(seed, "shuffled errors"))
    centred = losses - losses.mean()
    shuffled = np.stack([rng.permutation(centred) for _ in range(SHUFFLES)], 1).astype(np.float32)
    sums = masks.astype(np.float32) @ shuffled
    return np.asarray((sums / np.maximum(scale, 1e-300)[:, None]).max(0), dtype=np.float64)


def _slice(name: str, mask: Mask, losses: Floats, p_value: float) -> Slice:
    inside, rest = losses[mask], float(losses[~mask].mean())
    value, count = float(inside.mean()), int(mask.sum())
    if np.isin(losses, (0.0, 1.0)).all():
        low, high = wilson_bounds(value, count)
    else:
        half = Z95 * float(inside.std(ddof=1)) / math.sqrt(count)
        low, high = value - half, value + half
    excess = (value - rest) * count / float(losses.sum())
    return Slice(name, count, value, low, high, rest, excess, p_value, np.flatnonzero(mask))
