"""Calibration: whether a model that says 80 % is right in 80 % of such rows, and the temperature that would mend it.

Not here: the Brier score's own parts (`mlkit.evaluate.brier`).

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (error by bins, temperature); Kumar, Liang and
Ma, Verified Uncertainty Calibration, NeurIPS 2019 (why the plain estimate is too high, and by how much).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlkit.errors import ConfigError
from mlkit.evaluate.judged import bootstrap_rows, probabilities_and_labels
from mlkit.evaluate.outputs import Classes, Floats, Outputs, Predictions, log_sum_exp
from mlkit.evaluate.terms import Term, estimated, lines_of, wrapped
from mlkit.metrics.intervals import Z95, wilson_bounds
from mlkit.runtime.keys import derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlkit.evaluate.pictures import Theme

BOOTSTRAPS = 300
SIMULATIONS = 300  # labels drawn from the model's own probabilities: a p-value of 0.05 is known within 0.013
TINY = 1e-12
# Of 1/T: a model that errs by a factor of a thousand in its logits has another problem than its temperature.
INVERSE_RANGE = (1e-3, 1e3)


@dataclass(frozen=True)
class Bin:
    """Rows of like confidence.

    Args:
        confidence: mean probability of the predicted class.
        accuracy: share of right rows.
        low: lower end of the accuracy's 95 % interval.
        high: upper end.
        count: rows.
    """

    confidence: float
    accuracy: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """How far confidence is from accuracy.

    Args:
        error: expected calibration error, the upward bias of few rows taken off.
        plain: the same as it is usually computed, too high by chance.
        confidence_gap: mean confidence less accuracy; above 0 the model is too sure.
        temperature: that minimises the negative log-likelihood; above 1 the model is too sure.
        before: negative log-likelihood as it is.
        after: at the temperature.
        p_value: of a plain error as large as this, were the model calibrated.
        bins: of equal counts, by confidence.
        count: rows judged.
    """

    error: Term
    plain: float
    confidence_gap: Term
    temperature: Term
    before: float
    after: float
    p_value: float
    bins: tuple[Bin, ...]
    count: int

    def verdict(self) -> str:
        """One sentence."""
        if self.p_value > 0.05:
            return f"no miscalibration is resolved (p = {self.p_value:.2g}, {self.count:,} rows)"
        way = "too sure" if self.confidence_gap.value > 0 else "not sure enough"
        return (
            f"the model is {way} (p = {self.p_value:.2g}); dividing its logits by {self.temperature.value:.3g} lowers "
            f"the negative log-likelihood by {self.before - self.after:.3g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "error": self.error.to_dict(),
            "plain": self.plain,
            "confidence_gap": self.confidence_gap.to_dict(),
            "temperature": self.temperature.to_dict(),
            "before": self.before,
            "after": self.after,
            "p_value": self.p_value,
            "bins": [vars(one).copy() for one in self.bins],
            "count": self.count,
            "verdict": self.verdict(),
        }

    def __str__(self) -> str:
        head = f"calibration of {self.count:,} rows, {len(self.bins)} bins of equal counts"
        body = lines_of([self.error, self.confidence_gap, self.temperature])
        notes = [self.verdict(), "the temperature is to be fitted on val and kept for test; [low, high] is 95 %"]
        return "\n".join([head, *body, *(line for note in notes for line in wrapped(note, rest="  "))])

    def figure(self, *, theme: Theme = "light") -> Figure:
        """Accuracy against confidence, with intervals; on the line the model is calibrated.

        Args:
            theme: ``"light"``, ``"dark"``, or ``"neutral"``, which is transparent and can be read on both.
        """
        from mlkit.evaluate.pictures import COLOURS, THEMES, new_figure

        figure, axes = new_figure(4.6, theme=theme)
        text, line = THEMES[theme][1:]
        axes.spines["left"].set_visible(True)
        axes.spines["left"].set_color(line)
        x = [one.confidence for one in self.bins]
        colour = COLOURS[4] if theme == "dark" else COLOURS[0]
        axes.plot([min(x), 1.0], [min(x), 1.0], color=line, linewidth=1.0, zorder=0)
        for one in self.bins:
            axes.plot([one.confidence] * 2, [one.low, one.high], color=colour, linewidth=1.6)
        axes.plot(x, [one.accuracy for one in self.bins], "o", color=colour, markersize=6)
        axes.set_xlabel("confidence: mean probability of the predicted class", color=text)
        axes.set_ylabel("share of right rows", color=text)
        return figure


def calibration(
    predictions: Predictions,
    labels: Predictions | Sequence[int],
    *,
    outputs: Outputs = "probabilities",
    bins: int = 15,
    seed: int = 0,
) -> Calibration:
    """How far confidence is from accuracy, with intervals, and the temperature that mends it.

    Args:
        predictions: ``(n, C)``; val for a temperature that is to be used, test for one that is to be reported.
        labels: ``(n,)``.
        outputs: what ``predictions`` are: ``"probabilities"`` or ``"logits"``.
        bins: of equal counts; more show more and are noisier. Fewer are used where a bin would have under ten rows.
        seed: of the bootstrap and the simulation.

    Raises:
        ConfigError: fewer than one bin.
        DataError: labels that do not fit.
        ModelError: predictions that are none.

    >>> rng = np.random.default_rng(0)
    >>> sure = rng.uniform(0.5, 1, 2000)
    >>> calibration(np.stack([sure, 1 - sure], 1), (rng.random(2000) > sure).astype(int)).error.value < 0.02
    True
    """
    if bins < 1:
        raise ConfigError("too few bins", received=bins, allowed="1 or more")
    table, classes = probabilities_and_labels(predictions, labels, outputs=outputs)
    n = len(classes)
    bins = max(min(bins, n // 10), 1)
    confidence, right = table.max(1), (table.argmax(1) == classes).astype(np.float64)
    plain, debiased = _errors(confidence[None], right[None], bins)
    draws = bootstrap_rows(n, times=BOOTSTRAPS, seed=seed)
    spread = float(_errors(confidence[draws], right[draws], bins)[1].std(ddof=1))
    p_value = _p_value(confidence, float(plain[0]), bins, seed=seed)
    value = float(debiased[0])
    # Resolved only where labels drawn from the model's own probabilities would rarely give as much: near 0 the
    # bootstrap's interval is too short, since the error cannot be negative.
    low = max(value - Z95 * spread, 0.0)
    error = Term(
        "calibration error", value, low, value + Z95 * spread, p_value <= 0.05 and low > 0, None, "debiased, bootstrap"
    )
    temperature, before, after = _temperature(table, classes)
    return Calibration(
        error, float(plain[0]), _gap(confidence, right), temperature, before, after, p_value,
        _bins(confidence, right, bins), n,
    )  # fmt: skip


def _edges(n: int, bins: int) -> Classes:
    return np.linspace(0, n, bins + 1).round().astype(np.int64)[:-1]


def _errors(confidence: Floats, right: Floats, bins: int) -> tuple[Floats, Floats]:
    """Plain and debiased error of each sample of ``(B, n)``.

    A bin's gap is normal about its truth; the mean of its absolute value exceeds that of the truth by what the folded
    normal distribution says, taken at the gap that was seen.
    """
    n = confidence.shape[1]
    order = np.argsort(confidence, 1, kind="stable")
    difference = np.take_along_axis(right - confidence, order, 1)
    starts = _edges(n, bins)
    sizes = np.diff([*starts, n])
    gaps = np.add.reduceat(difference, starts, 1) / sizes
    squares = np.add.reduceat(difference**2, starts, 1) / sizes - gaps**2
    errors = np.sqrt(np.maximum(squares, 0.0) / np.maximum(sizes - 1, 1)) + TINY
    ratio = np.abs(gaps) / errors
    folded = errors * (math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + ratio * (1 - 2 * _below(-ratio)))
    plain = (np.abs(gaps) * sizes).sum(1) / n
    return plain, np.maximum(2 * plain - (folded * sizes).sum(1) / n, 0.0)


def _below(z: Floats) -> Floats:
    """Normal distribution function."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z), dtype=np.float64)


def _p_value(confidence: Floats, plain: float, bins: int, *, seed: int) -> float:
    """Source: Bröcker and Smith, Weather and Forecasting 22 (2007): consistency resampling."""
    rng = np.random.default_rng(derive_seed(seed, "calibrated labels"))
    drawn = (rng.random((SIMULATIONS, len(confidence))) < confidence).astype(np.float64)
    simulated = _errors(np.broadcast_to(confidence, drawn.shape), drawn, bins)[0]
    return float((1 + (simulated >= plain).sum()) / (1 + SIMULATIONS))


def _gap(confidence: Floats, right: Floats) -> Term:
    difference = confidence - right
    half = Z95 * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    value = float(difference.mean())
    return estimated("confidence - accuracy", value, (value - half, value + half), method="normal")


def _bins(confidence: Floats, right: Floats, bins: int) -> tuple[Bin, ...]:
    order = np.argsort(confidence, kind="stable")
    found = []
    for part in np.split(order, _edges(len(order), bins)[1:]):
        accuracy = float(right[part].mean())
        found.append(Bin(float(confidence[part].mean()), accuracy, *wilson_bounds(accuracy, len(part)), len(part)))
    return tuple(found)


def _temperature(table: Floats, classes: Classes) -> tuple[Term, float, float]:
    """Temperature of least negative log-likelihood, which is convex in 1/T; its interval by the sandwich."""
    logits = np.log(np.maximum(table, TINY))
    own = logits[np.arange(len(classes)), classes]

    def nll(inverse: float) -> float:
        return float((log_sum_exp(inverse * logits) - inverse * own).mean())

    low, high = map(math.log, INVERSE_RANGE)
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):  # golden section: 60 steps narrow a range of 14 to 4e-12
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if nll(math.exp(left)) <= nll(math.exp(right)) else (left, high)
    inverse = math.exp((low + high) / 2)
    before, after = nll(1.0), nll(inverse)
    at_edge = min(inverse / INVERSE_RANGE[0], INVERSE_RANGE[1] / inverse) < 1.01
    if at_edge:
        return Term("temperature", 1 / inverse, method="none: at the end of the range"), before, after
    p = np.exp(inverse * logits - log_sum_exp(inverse * logits)[:, None])
    mean = (p * logits).sum(1)
    curvature = float(((p * logits**2).sum(1) - mean**2).mean())
    error = float((mean - own).std(ddof=1)) / math.sqrt(len(classes)) / max(curvature, TINY) / inverse
    factor = math.exp(min(Z95 * error, 50.0))
    ends = (1 / inverse / factor, 1 / inverse * factor)
    resolved = bool(ends[0] > 1 or ends[1] < 1)  # a temperature is told from 1, not from 0
    return Term("temperature", 1 / inverse, *ends, resolved, None, "sandwich, logarithmic scale"), before, after
