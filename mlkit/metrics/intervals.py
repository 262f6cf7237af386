"""95 % intervals for rates, means, functions of means and areas under a curve, from a few sums.

Not here: how the sums are gathered (`mlkit.metrics.streaming`). Everything here is arithmetic on plain floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

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


def wilson_bounds(rate: float, size: float, quantile: float = Z95) -> tuple[float, float]:
    """Ends of the score interval for a rate seen in ``size`` trials, which need not be a whole number."""
    shrink = 1 + quantile**2 / size
    centre = (rate + quantile**2 / (2 * size)) / shrink
    half = quantile / shrink * math.sqrt(max(rate * (1 - rate), 0.0) / size + (quantile / (2 * size)) ** 2)
    return max(min(centre - half, rate), 0.0), min(max(centre + half, rate), 1.0)


def equivalent_trials(rate: float, variance: float) -> float:
    """How many independent trials with this rate have this variance of their mean.

    The score interval of as many trials stays within [0, 1] and does not collapse to a point when every example was
    right; for that the variance must not be 0, so it is taken from counts to which half an example was added.
    """
    return rate * (1 - rate) / variance


def mean_of_rates(successes: Sequence[float], counts: Sequence[int]) -> Estimate:
    """Unweighted mean of independent rates, with the score interval of as many trials as have the mean's variance.

    To each rate, for the variance alone, one success and one failure are added, so that a rate of 1 in few trials does
    not pass for certain. Source: Agresti and Caffo, The American Statistician 54 (2000), for two rates.
    """
    rates = [(s + 1) / (n + 2) for s, n in zip(successes, counts, strict=True)]
    variance = sum(rate * (1 - rate) / n for rate, n in zip(rates, counts, strict=True)) / len(rates) ** 2
    mean = sum(s / n for s, n in zip(successes, counts, strict=True)) / len(rates)
    size = equivalent_trials(sum(rates) / len(rates), variance)
    return Estimate(mean, *wilson_bounds(mean, size), sum(counts), "wilson, variances of the classes combined")


def student(mean: float, variance: float, count: int) -> Estimate:
    """A mean of ``count`` independent values with Student's interval, ``mean ± t · standard error``.

    It holds its level for normal values at any count, for skewed ones (losses of a good classifier) at large counts.

    Args:
        mean: the estimate.
        variance: of the mean, not of one value.
        count: independent values.

    >>> print(student(2.0, 0.5, 11))
    2 [0.4245, 3.576]
    """
    if count == 0:
        return undefined("no examples")
    if not math.isfinite(variance):
        return Estimate(mean, count=count, method="none: some values are not finite")
    if count == 1:
        return Estimate(mean, count=1, method="none: a single example")
    half = t95(count - 1) * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half, count, "student")


def t95(degrees: int) -> float:
    """The 97.5 % point of Student's distribution, within 0.004.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5; exact for one degree and two.

    >>> round(t95(10), 3)
    2.228
    """
    if degrees <= 2:
        return math.tan(0.475 * math.pi) if degrees == 1 else 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z, n = Z95, degrees
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / n + second / n**2 + third / n**3 + fourth / n**4


def exponential(mean: Estimate) -> Estimate:
    """``exp`` of a mean; the ends of the mean's interval are mapped, so it keeps its level and stays positive."""
    return _mapped(mean, math.exp, f"{mean.method} for the mean, mapped by exp")


def positive(value: float, variance: float, *, count: int) -> Estimate:
    """A positive number with the delta-method interval on the logarithmic scale: ``value · exp(± t · se / value)``.

    Squared errors are skewed to the right; on this scale the interval stays positive and misses equally on both sides.
    """
    if not math.isfinite(value) or not math.isfinite(variance):
        return Estimate(value, count=count, method="none: some values are not finite")
    if value == 0:
        return Estimate(value, count=count, method="none: no error was seen")
    if count == 1:
        return Estimate(value, count=1, method="none: a single example")
    factor = math.exp(min(t95(count - 1) * math.sqrt(variance) / value, 700.0))
    return Estimate(value, value / factor, value * factor, count, "delta, logarithmic scale")


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


def _mapped(estimate: Estimate, function: Callable[[float], float], method: str) -> Estimate:
    ends = [None if end is None else _safe(function, end) for end in (estimate.low, estimate.high)]
    method = method if estimate.low is not None else estimate.method
    return Estimate(_safe(function, estimate.value), ends[0], ends[1], estimate.count, method)


def _safe(function: Callable[[float], float], x: float) -> float:
    try:
        return function(x)
    except OverflowError:
        return math.inf
