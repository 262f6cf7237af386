"""A small Gaussian process on ranks, which says which of many possible trials are worth a run.

Ranks, because losses of failed and nearly failed runs span decades and say no more than "bad". Not here: where the
candidates come from (`mlkit.search.kernel`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST = 256  # a Cholesky factor of 256 takes a millisecond; of 1,000 thirty, a hundred times a round
_LOG_NOISE = math.log(0.05)  # prior centre: a twentieth of the variance of the ranks
_LIMIT = 1e4  # squared inverse lengths between 1e-4 (no effect) and 1e4 (a hundredth of the range)


class Surrogate:
    """What the trials so far say about untried points.

    Args:
        points: of the trials, best first, ``(n, dimensions)`` in [0, 1]; infeasible ones last.
        ordered: for each dimension, whether neighbours are alike; of the others only equality counts.

    Source: Matérn 5/2 kernel with one length a dimension, lengths and noise by maximum a posteriori (Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5); expected improvement (Jones et al., 1998);
    for a batch, the variance is reduced as if the chosen ones had come out as predicted (Ginsbourger et al., 2010,
    "kriging believer").
    """

    def __init__(self, points: Array, ordered: Mask) -> None:
        self._points, self._ordered = points[:MOST], ordered
        count = len(self._points)
        self._ranks = _normal_quantiles((np.arange(count) + 0.5) / count)
        self._squares = self._between(self._points, self._points)
        self._log_scales = np.zeros(points.shape[1])
        self._log_noise = _LOG_NOISE
        self._fit()
        _, self._factor, self._whitened = self._posterior(self._log_scales, self._log_noise)
        self._variance = max(float(self._whitened @ self._whitened) / count, 1e-9)

    def choose(self, candidates: Array, count: int, *, pending: Array | None = None) -> list[int]:
        """Indices of the ``count`` candidates that promise most together.

        Args:
            candidates: points, ``(m, dimensions)``, m at least ``count``.
            count: how many to choose.
            pending: points that are being tried and have no result yet; what lies near them promises less.
        """
        pending = np.empty((0, candidates.shape[1])) if pending is None else pending
        points = np.concatenate([pending, candidates])
        across = _solve_lower(self._factor, self._kernel(self._between(self._points, points), self._log_scales))
        mean = across.T @ self._whitened
        covariance = self._kernel(self._between(points, points), self._log_scales) - across.T @ across
        covariance *= self._variance
        noise = self._variance * math.exp(self._log_noise)
        best = self._best()
        free = np.ones(len(points), dtype=bool)
        chosen: list[int] = []
        for step in range(len(pending) + count):
            if step < len(pending):
                index = step
            else:
                deviation = np.sqrt(np.clip(np.diag(covariance), 1e-12, None))
                index = int(np.argmax(np.where(free, expected_improvement(best - mean, deviation), -math.inf)))
                chosen.append(index - len(pending))
            free[index] = False
            column = covariance[:, index].copy()
            covariance -= np.outer(column, column) / (column[index] + noise + 1e-12)
        return chosen

    def _best(self) -> float:
        """The lowest mean at a trial: the lowest rank itself may be luck."""
        own = _solve_lower(self._factor, self._kernel(self._squares, self._log_scales))
        return float((own.T @ self._whitened).min())

    def _between(self, a: Array, b: Array) -> Array:
        difference = np.abs(a[:, None, :] - b[None, :, :])
        difference[..., ~self._ordered] = difference[..., ~self._ordered] > 1e-9
        return difference**2

    @staticmethod
    def _kernel(squares: Array, log_scales: Array) -> Array:
        distance = np.sqrt(5 * (squares @ np.exp(log_scales)))
        result: Array = (1 + distance + distance**2 / 3) * np.exp(-distance)
        return result

    def _posterior(self, log_scales: Array, log_noise: float) -> tuple[float, Array, Array]:
        """Negative log posterior of the settings, the factor of the covariance, and the whitened ranks."""
        count = len(self._ranks)
        covariance = self._kernel(self._squares, log_scales)
        covariance[np.diag_indices(count)] += math.exp(log_noise)
        factor: Array = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        whitened = _solve_lower(factor, self._ranks)
        fit = 0.5 * count * math.log(max(float(whitened @ whitened) / count, 1e-9))
        # Wide priors: a factor of e² for squared inverse lengths, of e^1.5 for the noise.
        prior = 0.125 * float(log_scales @ log_scales) + 0.5 * ((log_noise - _LOG_NOISE) / 1.5) ** 2
        return fit + float(np.log(np.diag(factor)).sum()) + prior, factor, whitened

    def _fit(self) -> None:
        """One setting after another, in large steps, then smaller ones: no gradient, no local optimiser to watch."""
        settings = np.append(self._log_scales, self._log_noise)
        low = np.append(np.full(len(self._log_scales), -math.log(_LIMIT)), math.log(1e-4))
        high = np.append(np.full(len(self._log_scales), math.log(_LIMIT)), math.log(10.0))
        best = self._posterior(settings[:-1], float(settings[-1]))[0]
        for step in (2.5, 1.25):
            for index in range(len(settings)):
                for direction in (step, -step):
                    while True:
                        tried = settings.copy()
                        tried[index] += direction
                        if not low[index] <= tried[index] <= high[index]:
                            break
                        value = self._posterior(tried[:-1], float(tried[-1]))[0]
                        if value >= best - 1e-3:
                            break
                        best, settings = value, tried
        self._log_scales, self._log_noise = settings[:-1], float(settings[-1])


def expected_improvement(gap: Array, deviation: Array) -> Array:
    """Mean of what a normal variable lies below a bound; ``gap`` is the bound less its mean.

    >>> expected_improvement(np.array([0.0]), np.array([1.0])).round(4).tolist()
    [0.3989]
    """
    z = gap / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    result: Array = deviation * (z * _normal_share(z) + density)
    return result


def _normal_share(z: Array) -> Array:
    from scipy.special import ndtr

    share: Array = ndtr(z)
    return share


def _normal_quantiles(shares: Array) -> Array:
    from scipy.special import ndtri

    quantiles: Array = ndtri(shares)
    return quantiles


def _solve_lower(factor: Array, right: Array) -> Array:
    from scipy.linalg import solve_triangular

    solved: Array = solve_triangular(factor, right, lower=True, check_finite=False)
    return solved
