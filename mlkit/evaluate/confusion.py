"""Confusion: which classes are taken for which, the pairs that cost most first, each with its interval.

Not here: single rows (`mlkit.evaluate.worst`) and streaming counts during training (`mlkit.metrics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlkit.errors import DataError
from mlkit.evaluate.judged import class_names
from mlkit.evaluate.outputs import numbers
from mlkit.evaluate.terms import wrapped
from mlkit.metrics.intervals import wilson_bounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlkit.evaluate.outputs import Predictions
    from mlkit.evaluate.pictures import Theme

READABLE = 20  # classes up to which a picture shows every name and count


@dataclass(frozen=True)
class Pair:
    """Rows of one class taken for another.

    Args:
        true: class of the label.
        predicted: class of the model.
        count: such rows.
        rate: of the rows with this label.
        low: lower end of the rate's 95 % interval (Wilson).
        high: upper end.
        share: of all errors.
        by_chance: interval of the rate lies at or below what equally spread errors of this label would give.
    """

    true: str
    predicted: str
    count: int
    rate: float
    low: float
    high: float
    share: float
    by_chance: bool


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of label by prediction.

    Args:
        counts: ``(C, C)``; row = label, column = prediction.
        names: of the classes.
        pairs: of classes that are confused, the most rows first.
    """

    counts: NDArray[np.int64] = field(repr=False)
    names: tuple[str, ...]
    pairs: tuple[Pair, ...]

    @property
    def errors(self) -> int:
        """Wrong rows."""
        return int(self.counts.sum() - np.trace(self.counts))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "names": list(self.names),
            "counts": self.counts.tolist(),
            "errors": self.errors,
            "pairs": [vars(pair).copy() for pair in self.pairs],
        }

    def __str__(self) -> str:
        lines = [f"{self.errors:,} of {int(self.counts.sum()):,} rows are wrong; label -> prediction"]
        for pair in self.pairs:
            text = (
                f"{pair.true} -> {pair.predicted}: {pair.count:,} rows, {pair.rate:.1%} "
                f"[{pair.low:.1%}, {pair.high:.1%}] of the label, {pair.share:.0%} of all errors"
                f"{' (no more than chance)' if pair.by_chance else ''}"
            )
            lines += wrapped(text, first="  ", rest="    ")
        return "\n".join(lines)

    def figure(self, *, theme: Theme = "light") -> Figure:
        """Share of each label's rows by prediction; the diagonal is left empty, so that the errors set the scale.

        Args:
            theme: ``"light"``, ``"dark"``, or ``"neutral"``, which is transparent and can be read on both.
        """
        from matplotlib.colors import LinearSegmentedColormap

        from mlkit.evaluate.pictures import COLOURS, THEMES, new_figure

        size = len(self.names)
        figure, axes = new_figure(5.6, theme=theme)
        back, text, line = THEMES[theme]
        rates = self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)
        shown = np.ma.masked_where(np.eye(size, dtype=bool), rates)
        start = (0.5, 0.5, 0.5, 0.0) if back == "none" else back
        # On a dark page the strong end is the light blue of the palette, else counts could not be read.
        end = COLOURS[4] if theme == "dark" else COLOURS[0]
        axes.imshow(shown, cmap=LinearSegmentedColormap.from_list("errors", [start, end]), vmin=0.0)
        if size <= READABLE:
            axes.set_xticks(range(size), self.names, rotation=90 if max(map(len, self.names)) > 3 else 0)
            axes.set_yticks(range(size), self.names)
            top = float(shown.max()) if size > 1 else 0.0
            for i, j in np.ndindex(size, size):
                if self.counts[i, j]:
                    strong = i != j and top > 0 and rates[i, j] > 0.55 * top
                    inside = (back if theme == "dark" else "white") if strong else text
                    axes.text(j, i, f"{self.counts[i, j]}", ha="center", va="center", fontsize=8, color=inside)
        axes.spines["bottom"].set_color(line)
        axes.set_xlabel("prediction", color=text)
        axes.set_ylabel("label", color=text)
        return figure


def confusion(
    predicted: Predictions | Sequence[int],
    labels: Predictions | Sequence[int],
    *,
    names: Sequence[str] | None = None,
    most: int = 5,
) -> Confusion:
    """Which classes are taken for which.

    Args:
        predicted: ``(n,)`` classes, or ``(n, C)`` scores, of which the largest counts.
        labels: ``(n,)``.
        names: of the classes.
        most: pairs to name.

    Raises:
        DataError: they are not classes of the same rows.

    >>> print(confusion([0, 1, 1, 1], [0, 0, 1, 1], names=["cat", "dog"]))
    1 of 4 rows are wrong; label -> prediction
      cat -> dog: 1 rows, 50.0% [9.5%, 90.5%] of the label, 100% of all errors
    """
    guesses, truth = numbers(predicted), numbers(labels)
    size = guesses.shape[1] if guesses.ndim == 2 else None
    guesses = guesses.argmax(1) if guesses.ndim == 2 else guesses
    good = guesses.ndim == truth.ndim == 1 and len(guesses) == len(truth) > 0
    if not good or any(one.dtype.kind not in "iub" or one.min() < 0 for one in (guesses, truth)):
        raise DataError(
            "predictions and labels are not classes of the same rows",
            received=f"{guesses.shape}, {guesses.dtype} and {truth.shape}, {truth.dtype}",
            allowed="(n,) whole numbers from 0 for both, or (n, C) scores for the predictions",
        )
    needed = int(max(guesses.max(), truth.max())) + 1
    size = max(needed, size or 0, len(names) if names is not None else 0)
    known = class_names(names, size)
    counts = np.bincount(truth.astype(np.int64) * size + guesses.astype(np.int64), minlength=size**2)
    table = counts.reshape(size, size).astype(np.int64)
    return Confusion(table, known, tuple(_pairs(table, known, most)))


def _pairs(table: NDArray[np.int64], names: Sequence[str], most: int) -> list[Pair]:
    off = table - np.diag(np.diag(table))
    found = []
    for place in np.argsort(-off, axis=None, kind="stable")[:most]:
        i, j = divmod(int(place), len(names))
        count = int(off[i, j])
        if count == 0:
            break
        rows = int(table[i].sum())
        low, high = wilson_bounds(count / rows, rows)
        even = float(off[i].sum()) / rows / (len(names) - 1)
        chance = bool(len(names) > 2 and low <= even)
        found.append(Pair(names[i], names[j], count, count / rows, low, high, count / int(off.sum()), chance))
    return found
