"""95 % intervals for rates, means, functions of means and areas under a curve, from a few sums.

Not here: how the sums are gathered (`mlkit.metrics.streaming`). Everything here is arithmetic on plain floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mlkit.metrics.estimate import Estimate

Z95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


def undefined(why: str, *, count: int = 0) -> Estimate:
    """A value that does not exist: NaN, with the reason in ``method``."""
    return Estimate(math.nan, count=count, method=f"undefined: {why}")


def wilson(successes: float, count: int) -> Estimate:
    """A rate of independent trials with the score interval, which holds its level for small counts and extreme rates.

    Args:
        successes: trials that succeeded.
        count: trials.

    Source: Wilson, JASA 22 (1927); recommended by Brown, Cai and DasGupta, Statistical Science 16 (2001).

    >>> print(wilson(97, 100))
    0.97 [0.9155, 0.9897]
    """
    if count == 0:
        return undefined("no examples")
    rate = successes / count
    return Estimate(rate, *wilson_bounds(rate, count), count, "wilson")


def wilson_bounds(rate: float, size: float) -> tuple[float, float]:
    """Ends of the score interval for a rate seen in ``size`` trials, which need not be a whole number."""
    shrink = 1 + Z95**2 / size
    centre = (rate + Z95**2 / (2 * size)) / shrink
    half = Z95 / shrink * math.sqrt(max(rate * (1 - rate), 0.0) / size + (Z95 / (2 * size)) ** 2)
    return max(min(centre - half, rate), 0.0), min(max(centre + half, rate), 1.0)


def rate_with_variance(rate: float, variance: float, *, count: int, least: float, method: str) -> Estimate:
    """A number between 0 and 1 whose sampling variance is known, with the score interval of as many coin tosses.

    The size is that of independent trials with the same variance, ``rate (1 - rate) / variance``, so the interval stays
    within [0, 1] and does not collapse to a point when every example was right.

    Args:
        rate: the estimate.
        variance: of the estimate, not of one example.
        count: independent examples, for the record.
        least: size to assume where the variance is estimated as zero.
        method: how the variance was found.
    """
    size = rate * (1 - rate) / variance if variance > 0 and 0 < rate < 1 else least
    return Estimate(rate, *wilson_bounds(rate, size), count, method)


def normal_mean(total: float, squares: float, count: int) -> Estimate:
    """A mean with ``mean ± 1.96 standard errors``, from the sum and the sum of squares of ``count`` values.

    >>> print(normal_mean(10.0, 30.0, 5))
    2 [0.6141, 3.386]
    """
    if count == 0:
        return undefined("no examples")
    mean = total / count
    if not math.isfinite(squares):
        return Estimate(mean, count=count, method="none: some values are not finite")
    if count == 1:
        return Estimate(mean, count=1, method="none: a single example")
    half = Z95 * math.sqrt(variance_of_mean(total, squares, count))
    return Estimate(mean, mean - half, mean + half, count, "normal")


def variance_of_mean(total: float, squares: float, count: int) -> float:
    """Squared standard error of a mean, from sums over at least two values; rounding never makes it negative."""
    return max(squares - total * total / count, 0.0) / (count - 1) / count


def exponential(mean: Estimate) -> Estimate:
    """``exp`` of a mean; the ends of the mean's interval are mapped, so it keeps its level and stays positive."""
    return _mapped(mean, math.exp, "normal for the mean, mapped by exp")


def positive(value: float, variance: float, *, count: int, method: str) -> Estimate:
    """A positive number with the delta-method interval on the logarithmic scale: ``value · exp(± 1.96 se / value)``.

    Squared errors are skewed to the right; on this scale the interval stays positive and misses equally on both sides.
    """
    if value <= 0 or not math.isfinite(variance):
        return Estimate(value, value, value, count, "exact: no error was seen") if value == 0 else Estimate(value)
    factor = math.exp(min(Z95 * math.sqrt(variance) / value, 700.0))
    return Estimate(value, value / factor, value * factor, count, method)


def square_root(mean: Estimate) -> Estimate:
    """The root of a mean of squares, interval mapped."""
    return _mapped(mean, lambda x: math.sqrt(max(x, 0.0)), mean.method)


def f1_of_jaccard(jaccard: Estimate) -> Estimate:
    """F1 from the rate ``tp / (tp + fp + fn)``, of which it is the increasing function ``2 J / (1 + J)``."""
    return _mapped(jaccard, lambda j: 2 * j / (1 + j), "wilson for tp / (tp + fp + fn), mapped to F1")


def newcombe(successes: tuple[float, float], counts: tuple[int, int]) -> Estimate:
    """Difference of two independent rates, first minus second, from their score intervals.

    Source: Newcombe, Statistics in Medicine 17 (1998), method 10.

    >>> print(newcombe((56, 48), (70, 80)))
    0.2 [0.05243, 0.3339]
    """
    if 0 in counts:
        return undefined("no examples")
    first, second = (s / n for s, n in zip(successes, counts, strict=True))
    low1, high1 = wilson_bounds(first, counts[0])
    low2, high2 = wilson_bounds(second, counts[1])
    difference = first - second
    low = difference - math.hypot(first - low1, high2 - second)
    high = difference + math.hypot(high1 - first, second - low2)
    return Estimate(difference, low, high, sum(counts), "newcombe")


def mean_of_rates(successes: list[float], counts: list[int]) -> Estimate:
    """Unweighted mean of independent rates; squared distances to their score intervals add up (MOVER).

    Source: Zou and Donner, Statistics in Medicine 27 (2008).
    """
    rates = [s / n for s, n in zip(successes, counts, strict=True)]
    bounds = [wilson_bounds(rate, n) for rate, n in zip(rates, counts, strict=True)]
    mean = sum(rates) / len(rates)
    below = math.sqrt(sum((rate - low) ** 2 for rate, (low, _) in zip(rates, bounds, strict=True))) / len(rates)
    above = math.sqrt(sum((high - rate) ** 2 for rate, (_, high) in zip(rates, bounds, strict=True))) / len(rates)
    return Estimate(mean, max(mean - below, 0.0), min(mean + above, 1.0), sum(counts), "wilson by class, combined")


def _mapped(estimate: Estimate, function: Callable[[float], float], method: str) -> Estimate:
    ends = [None if end is None else _safe(function, end) for end in (estimate.low, estimate.high)]
    method = method if estimate.low is not None else estimate.method
    return Estimate(_safe(function, estimate.value), ends[0], ends[1], estimate.count, method)


def _safe(function: Callable[[float], float], x: float) -> float:
    try:
        return function(x)
    except OverflowError:
        return math.inf
