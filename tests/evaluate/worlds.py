"""Worlds whose noise, bias and variance are known in closed form, and learners that are solved at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def assert_close(values: Sequence[float] | Floats, truth: float) -> None:
    """The mean of independent repetitions is the truth, within 4 Monte-Carlo standard errors."""
    values = np.asarray(values, dtype=float)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - truth) < 4 * error, f"{values.mean():.5f} +- {error:.5f}, truth {truth:.5f}"


def linear_data(rng: np.random.Generator, n: int, p: int, *, noise: float = 1.0) -> tuple[Floats, Floats]:
    x = rng.normal(size=(n, p))
    return x, x.sum(1) + noise * rng.normal(size=n)


def least_squares(x: Floats, y: Floats, seed: int) -> Callable[[Floats], Floats]:
    """With intercept."""
    weights = np.linalg.lstsq(np.c_[np.ones(len(x)), x], y, rcond=None)[0]
    return lambda rows: (np.c_[np.ones(len(rows)), rows] @ weights)[:, None]


def many_least_squares(
    rng: np.random.Generator, count: int, n: int, x_test: Floats, *, intercept: bool, omitted: float = 0.0
) -> Floats:
    """Predictions ``(count, m)`` of least squares on as many fresh data sets; truth is the sum of the columns."""
    p = x_test.shape[1]
    x = rng.normal(size=(count, n, p))
    y = x.sum(2) + rng.normal(size=(count, n)) + omitted * rng.normal(size=(count, n))
    if intercept:
        x = np.concatenate([np.ones((count, n, 1)), x], 2)
        x_test = np.c_[np.ones(len(x_test)), x_test]
    weights = np.linalg.solve(np.swapaxes(x, 1, 2) @ x, np.swapaxes(x, 1, 2) @ y[:, :, None])[:, :, 0]
    return weights @ x_test.T


def variance_of_ols(n: int, p: int) -> float:
    """Of least squares with intercept on normal columns, noise variance 1, averaged over test rows."""
    return (n + 1) * (n - 2) / (n * (n - p - 2)) - 1


def histogram(cells: int) -> Callable[[Ints, Ints, int], Callable[[Ints], Floats]]:
    """Class frequencies of each cell, Laplace-smoothed; ``x`` is ``(n, 1)``, the cell of a row."""

    def learner(x: Ints, y: Ints, seed: int) -> Callable[[Ints], Floats]:
        total = np.bincount(x[:, 0], minlength=cells)
        ones = np.bincount(x[:, 0], weights=y, minlength=cells)
        rate = (ones + 1) / (total + 2)
        return lambda rows: np.stack([1 - rate, rate], 1)[rows[:, 0]]

    return learner


def smoothed_terms(eta: float, n: int) -> dict[str, float]:
    """Exact cross-entropy terms of one cell with ``n`` labels, by the sum over all counts (C10)."""
    from scipy.stats import binom

    counts = np.arange(n + 1)
    weight = binom.pmf(counts, n, eta)
    q = (counts + 1) / (n + 2)
    geometric = np.exp([weight @ np.log(1 - q), weight @ np.log(q)])
    p = np.array([1 - eta, eta])
    total = -weight @ (eta * np.log(q) + (1 - eta) * np.log(1 - q))
    noise = -p @ np.log(p)
    bias = p @ np.log(p / (geometric / geometric.sum()))
    return {"noise": noise, "bias": bias, "variance": -np.log(geometric.sum()), "total": total}
