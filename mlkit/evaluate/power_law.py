"""`a + b n^-c`: a power law through errors at several training-set sizes, what twice the rows bring, and refusals.

Not here: training at these sizes (`mlkit.evaluate.curve`).

Source: Cortes et al., Learning Curves: Asymptotic Values and Rate of Convergence, NIPS 1993; Mohr and others, LCDB 1.1,
NeurIPS 2025: about 15 % of curves are ill-behaved, hence the refusals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlkit.errors import DataError
from mlkit.evaluate.outputs import Floats
from mlkit.evaluate.terms import Term, estimated
from mlkit.runtime.keys import derive_seed

FEWEST_SIZES = 5
EXPONENTS = np.geomspace(0.05, 3.0, 120)  # of n: slower is no visible decay, faster is over at once
BOOTSTRAPS = 300
LEVEL = 0.01  # of refusing a well-behaved curve


@dataclass(frozen=True)
class PowerLaw:
    """The fitted curve, or why there is none.

    Args:
        floor: ``a``, the error of endless data.
        scale: ``b``.
        exponent: ``c``.
        now: error at the largest size, as fitted.
        doubled: error at twice the largest size.
        gain: of twice the rows: now less doubled.
        refused: why no curve was fitted; None where one was, and the terms are then NaN.
        inflated: by how much the errors' own standard errors had to be raised for the curve to pass through them.
    """

    floor: Term
    scale: float
    exponent: Term
    now: Term
    doubled: Term
    gain: Term
    refused: str | None
    inflated: float

    def at(self, n: float) -> float:
        """Error at ``n`` training rows."""
        return float(self.floor.value + self.scale * n ** (-self.exponent.value))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        terms = {name: getattr(self, name).to_dict() for name in ("floor", "exponent", "now", "doubled", "gain")}
        return {**vars(self), **terms}


def fit_power_law(
    sizes: Sequence[float],
    errors: Sequence[float],
    standard_errors: Sequence[float],
    *,
    seeds: int = 1000,
    seed: int = 0,
) -> PowerLaw:
    """Fit ``a + b n^-c`` with a, b of 0 or more, weighted by standard errors.

    Args:
        sizes: training rows, ascending; at least five.
        errors: mean error at each.
        standard_errors: of these means; above 0.
        seeds: how many values each mean is of; few make the intervals wider.
        seed: of the bootstrap.

    Returns:
        The curve. Intervals: the errors are drawn anew about the curve by Student's distribution, 300 times, and it is
        fitted again. ``refused`` where an error rises from one size to the next by more than its noise.

    Raises:
        DataError: what cannot be a curve.

    >>> n = np.array([50, 100, 200, 400, 800])
    >>> found = fit_power_law(n, 0.1 + 2 / n**0.5, np.full(5, 1e-4))
    >>> round(found.floor.value, 3), round(found.exponent.value, 2)
    (0.1, 0.5)
    """
    n, y, se = (np.asarray(one, dtype=np.float64) for one in (sizes, errors, standard_errors))
    if n.ndim != 1 or not n.shape == y.shape == se.shape or not all(np.isfinite(one).all() for one in (n, y, se)):
        raise DataError("sizes, errors and standard errors do not fit", received=f"{n.shape}, {y.shape}, {se.shape}")
    if (np.diff(n) <= 0).any() or n.min(initial=1) <= 0 or (se <= 0).any():
        raise DataError(
            "no curve", received=f"sizes {n.tolist()}", allowed="ascending sizes and standard errors above 0"
        )
    why = _refusal(n, y, se, seeds)
    if why is not None:
        return _refused(why)
    a, b, c, misfit = _fit(n, y, 1 / se**2)
    inflated = max(math.sqrt(misfit / (len(n) - 3)), 1.0)
    fitted = a + b * n**-c
    noise = np.random.default_rng(derive_seed(seed, "power law")).standard_t(
        max(seeds - 1, 1), size=(BOOTSTRAPS, len(n))
    )
    again = np.array([_fit(n, fitted + inflated * se * one, 1 / se**2)[:3] for one in noise])
    last = n[-1]

    def term(name: str, value: float, draws: Floats) -> Term:
        low, high = np.percentile(draws, [2.5, 97.5])
        return estimated(name, value, (float(min(low, value)), float(max(high, value))), method="bootstrap of the fit")

    def level(at: float, parts: Floats) -> Floats:
        return np.asarray(parts[:, 0] + parts[:, 1] * at ** -parts[:, 2])

    now, doubled = a + b * last**-c, a + b * (2 * last) ** -c
    return PowerLaw(
        term("error of endless data", a, again[:, 0]),
        b,
        term("exponent", c, again[:, 2]),
        term("error now", now, level(last, again)),
        term("error with twice the rows", doubled, level(2 * last, again)),
        term("gain of twice the rows", now - doubled, level(last, again) - level(2 * last, again)),
        None,
        inflated,
    )


def _fit(n: Floats, y: Floats, weights: Floats) -> tuple[float, float, float, float]:
    """Best a, b, c and the weighted sum of squares; for a given c the rest is a line, tried at 120 exponents."""
    u = n[None, :] ** -EXPONENTS[:, None]
    w = weights / weights.sum()
    mean_u, mean_y = u @ w, float(w @ y)
    slope = ((u - mean_u[:, None]) * (y - mean_y)) @ w / np.maximum(((u - mean_u[:, None]) ** 2) @ w, 1e-300)
    slope = np.maximum(slope, 0.0)
    floor = mean_y - slope * mean_u
    # An error is not negative: where the line would have it so, it goes through 0 instead.
    through = np.maximum((u * y) @ w / ((u**2) @ w), 0.0)
    slope, floor = np.where(floor < 0, through, slope), np.maximum(floor, 0.0)
    misfits = ((y - floor[:, None] - slope[:, None] * u) ** 2) @ weights
    best = int(misfits.argmin())
    return float(floor[best]), float(slope[best]), float(EXPONENTS[best]), float(misfits[best])


def _refusal(n: Floats, y: Floats, se: Floats, seeds: int) -> str | None:
    from scipy.stats import t

    if len(n) < FEWEST_SIZES:
        return f"{len(n)} sizes: a curve with three unknowns needs {FEWEST_SIZES} or more"
    rises = np.diff(y) / np.hypot(se[1:], se[:-1])
    allowed = float(t.ppf(1 - LEVEL / len(rises), max(2 * (seeds - 1), 1)))
    worst = int(rises.argmax())
    if rises[worst] > allowed:
        return (
            f"not monotone: the error rises from {y[worst]:.4g} at {n[worst]:g} rows to {y[worst + 1]:.4g} at "
            f"{n[worst + 1]:g}, by more than its noise"
        )
    return None


def _refused(why: str) -> PowerLaw:
    names = (
        "error of endless data", "exponent", "error now", "error with twice the rows", "gain of twice the rows"
    )  # fmt: skip
    floor, exponent, now, doubled, gain = (Term(name, math.nan, method="none: no curve") for name in names)
    return PowerLaw(floor, math.nan, exponent, now, doubled, gain, why, 1.0)
