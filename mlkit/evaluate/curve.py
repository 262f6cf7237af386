"""The learning curve: test error against training rows, several seeds, and what twice the rows would bring.

Not here: the curve that is fitted (`mlkit.evaluate.power_law`), nor curves over training steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.decomposition import LOSS_TITLES
from mlkit.evaluate.learners import Inputs, Job, Learner, carry_out
from mlkit.evaluate.outputs import (
    Floats,
    LossName,
    Outputs,
    Predictions,
    check_loss,
    formed,
    numbers,
    one_hot,
    targets_of,
)
from mlkit.evaluate.power_law import PowerLaw, fit_power_law
from mlkit.evaluate.terms import lines_of, wrapped
from mlkit.metrics.intervals import t95
from mlkit.runtime.keys import derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlkit.evaluate.pictures import Theme

FEWEST_ROWS = 4
SMALLEST = 1e-24  # variance of seeds that all give the same error
DOUBLINGS = 5  # six sizes from n/32 to n: a factor of 32 tells an exponent, one size more than the fit needs


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors at each size.

    Args:
        loss: that was measured.
        sizes: training rows.
        errors: ``(sizes, seeds)`` mean over the test rows.
        law: the fitted curve, or why it was refused.
        notes: what the reader has to know.
    """

    loss: LossName
    sizes: tuple[int, ...]
    errors: Floats = field(repr=False)
    law: PowerLaw
    notes: tuple[str, ...]

    @property
    def means(self) -> Floats:
        """Over seeds, of each size."""
        return np.asarray(self.errors.mean(1), dtype=np.float64)

    @property
    def standard_errors(self) -> Floats:
        """Of `means`."""
        return standard_errors(self.errors, self.sizes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "loss": self.loss,
            "sizes": list(self.sizes),
            "errors": self.errors.tolist(),
            "law": self.law.to_dict(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"{LOSS_TITLES[self.loss]} by training rows, {self.errors.shape[1]} seeds each"]
        half = t95(self.errors.shape[1] - 1) * self.standard_errors
        for n, mean, h in zip(self.sizes, self.means, half, strict=True):
            lines.append(f"  {n:>8,}  {mean:.4f} [{max(mean - h, 0):.4f}, {mean + h:.4f}]")
        law = self.law
        if law.refused is not None:
            lines += wrapped(f"no forecast: {law.refused}", rest="  ")
        else:
            lines += lines_of([law.floor, law.exponent, law.doubled, law.gain])
        return "\n".join([*lines, *(line for note in self.notes for line in wrapped(note, rest="  "))])

    def figure(self, *, theme: Theme = "light") -> Figure:
        """Errors against rows on a logarithmic axis, the curve, and the forecast with its interval.

        Args:
            theme: ``"light"``, ``"dark"``, or ``"neutral"``, which is transparent and can be read on both.
        """
        from mlkit.evaluate.pictures import COLOURS, THEMES, new_figure

        figure, axes = new_figure(4.2, theme=theme)
        text, line = THEMES[theme][1:]
        axes.spines["left"].set_visible(True)
        axes.spines["left"].set_color(line)
        main = COLOURS[4] if theme == "dark" else COLOURS[0]
        half = t95(self.errors.shape[1] - 1) * self.standard_errors
        axes.errorbar(self.sizes, self.means, half, fmt="o", color=main, markersize=5, linewidth=1.4, label="measured")
        if self.law.refused is None:
            x = np.geomspace(self.sizes[0], 2 * self.sizes[-1], 200)
            axes.plot(x, [self.law.at(one) for one in x], color=line, linewidth=1.2, zorder=0, label="fitted")
            last, ahead = 2 * self.sizes[-1], self.law.doubled
            if ahead.low is not None and ahead.high is not None:
                axes.plot([last, last], [ahead.low, ahead.high], color=COLOURS[1], linewidth=1.8)
            axes.plot([last], [ahead.value], "D", color=COLOURS[1], markersize=6, label="twice the rows")
        axes.set_xscale("log")
        axes.set_xlabel("training rows", color=text)
        axes.set_ylabel(LOSS_TITLES[self.loss], color=text)
        axes.legend(frameon=False, labelcolor=text)
        return figure


def standard_errors(errors: Floats, sizes: Sequence[int]) -> Floats:
    """Of the means over seeds ``(sizes,)``: half a size's own variance, half the trend of all sizes.

    Few seeds say little of a variance: that of one size may be near 0 by chance and would then rule the fit. The trend
    is a line through log variance against log rows.
    """
    from scipy.special import digamma

    seeds = errors.shape[1]
    own = np.maximum(errors.var(1, ddof=1), SMALLEST)
    if len(sizes) < 3:
        return np.asarray(np.sqrt((own + own.mean()) / 2 / seeds), dtype=np.float64)
    half = (seeds - 1) / 2
    # The logarithm of a variance of few values is too low on average, by this much.
    logs = np.log(own) - (digamma(half) - np.log(half))
    x = np.log(np.asarray(sizes, dtype=np.float64))
    slope = float(((x - x.mean()) * (logs - logs.mean())).sum() / ((x - x.mean()) ** 2).sum())
    trend = np.exp(logs.mean() + slope * (x - x.mean()))
    return np.asarray(np.sqrt((own + trend) / 2 / seeds), dtype=np.float64)


def learning_curve(
    learner: Learner,
    data: tuple[Inputs, Predictions],
    *,
    test: tuple[Inputs, Predictions],
    loss: LossName,
    outputs: Outputs | None = None,
    sizes: Sequence[int] | None = None,
    seeds: int = 5,
    seed: int = 0,
) -> LearningCurve:
    """Train at several sizes with several seeds, and fit ``a + b n^-c``.

    Args:
        learner: see `mlkit.evaluate.decompose`. With a fixed number of epochs fewer rows are fewer steps.
        data: training inputs and targets.
        test: inputs and targets of the test rows.
        loss: ``"zero_one"``, ``"cross_entropy"``, ``"brier"`` or ``"squared"``.
        outputs: what the learner predicts; see `decompose`.
        sizes: training rows; by default n/32, n/16, … n.
        seeds: of each size: other rows, other weights. At least 3.
        seed: root of the choice of rows and of training.

    Raises:
        ConfigError: fewer than 3 seeds or sizes that cannot be.
        ModelError: predictions that do not fit.

    >>> rng = np.random.default_rng(0)
    >>> mean = lambda x, y, seed: lambda rows: np.full((len(rows), 1), y.mean())
    >>> data = (np.zeros((64, 1)), rng.normal(size=64))
    >>> learning_curve(mean, data, test=data, loss="squared", seeds=3, sizes=[4, 8, 16, 32, 64]).errors.shape
    (5, 3)
    """
    x, y = data
    n = len(numbers(y))
    chosen = _sizes(sizes, n)
    if seeds < 3:
        raise ConfigError("too few seeds for a standard error", received=seeds, allowed="3 or more")
    kind = check_loss(loss, outputs)
    jobs = [
        Job(
            np.sort(np.random.default_rng(derive_seed(seed, "curve rows", size, k)).permutation(n)[:size]),
            derive_seed(seed, "curve", size, k),
        )
        for size in chosen
        for k in range(seeds)
    ]
    rows = len(numbers(test[1]))
    found = []
    for predict in carry_out(learner, x, y, jobs):
        table = formed(predict(test[0]), rows=rows, loss=loss, outputs=kind, who="the learner")
        found.append(_mean_loss(table, test[1], loss))
    errors = np.array(found).reshape(len(chosen), seeds)
    spreads = standard_errors(errors, chosen).tolist()
    law = fit_power_law(chosen, errors.mean(1).tolist(), spreads, seeds=seeds, seed=seed)
    notes = ["the interval is over training sets and seeds, for these test rows"]
    if chosen[-1] > n / 2:
        notes.append("seeds of the largest sizes share most of their rows: their spread is less than that of new rows")
    if law.inflated > 1.5:
        notes.append(f"no power law fits within the noise (x {law.inflated:.2g}): trust the forecast less")
    return LearningCurve(loss, chosen, errors, law, tuple(notes))


def _sizes(sizes: Sequence[int] | None, n: int) -> tuple[int, ...]:
    if sizes is None:
        return tuple(dict.fromkeys(max(round(n / 2**k), FEWEST_ROWS) for k in range(DOUBLINGS, -1, -1)))
    chosen = tuple(int(one) for one in sizes)
    if not chosen or list(chosen) != sorted(set(chosen)) or chosen[0] < 1 or chosen[-1] > n:
        raise ConfigError("sizes that cannot be", received=list(chosen), allowed=f"ascending, from 1 to {n}")
    return chosen


def _mean_loss(table: Floats, y: Predictions, loss: LossName) -> float:
    rows, columns = table.shape
    targets = targets_of(y, loss=loss, columns=columns, rows=rows)
    if loss == "squared":
        return float(((table - targets) ** 2).sum(1).mean())
    classes = np.asarray(targets, dtype=np.int64)
    if loss == "zero_one":
        return float((table.argmax(1) != classes).mean())
    if loss == "brier":
        return float(((table - one_hot(classes, columns)) ** 2).sum(1).mean())
    if loss == "cross_entropy":
        return float(-table[np.arange(rows), classes].mean())
    raise DataError("unknown loss", received=loss)
