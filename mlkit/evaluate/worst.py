"""The worst rows: the largest losses and the most confident errors, on a sheet to be looked at.

Not here: how the losses came about; which groups of rows are bad (`mlkit.evaluate.slices`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlkit.errors import DataError
from mlkit.evaluate.evidence import evidence_of
from mlkit.evaluate.judged import class_names, probabilities_and_labels
from mlkit.evaluate.outputs import Floats, Outputs, Predictions, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlkit.evaluate.pictures import Theme

Shown = Literal["image", "series", "table", "text"]
COLUMNS = 4
TEXT_WIDTH = 26
MOST_FEATURES = 6  # of a table row: as many lines fit under a title
SMALLEST = 1e-12  # probability whose logarithm is taken: a loss of 27.6


@dataclass(frozen=True)
class Row:
    """One row of the sheet.

    Args:
        row: its number.
        loss: of the row.
        label: name or value.
        prediction: name or value.
        confidence: probability of the prediction; None for numbers.
    """

    row: int
    loss: float
    label: str
    prediction: str
    confidence: float | None

    def title(self) -> str:
        """Two short lines."""
        sure = "" if self.confidence is None else f" {self.confidence:.0%}"
        return f"{self.row}: {self.label}\n-> {self.prediction}{sure}"


@dataclass(frozen=True, eq=False)
class WorstRows:
    """The worst rows first.

    Args:
        rows: of the sheet.
        count: rows judged.
        share: of the whole loss that these rows bear.
        inputs: what is drawn; None where none were given.
        shown: how a row is drawn.
        features: names of a table's columns.
    """

    rows: tuple[Row, ...]
    count: int
    share: float
    inputs: NDArray[np.generic] | Sequence[str] | None = field(repr=False)
    shown: Shown | None
    features: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"count": self.count, "share": self.share, "rows": [vars(row).copy() for row in self.rows]}

    def __str__(self) -> str:
        lines = [f"the worst {len(self.rows)} of {self.count:,} rows bear {self.share:.1%} of the loss"]
        for row in self.rows:
            sure = "" if row.confidence is None else f" ({row.confidence:.1%})"
            lines.append(f"  row {row.row}: {row.label} -> {row.prediction}{sure}, loss {row.loss:.4g}")
        return "\n".join(textwrap.shorten(line, 80) if len(line) > 80 else line for line in lines)

    def figure(self, *, theme: Theme = "light") -> Figure:
        """One panel a row: the image, the series, the columns or the text, with label and prediction above.

        Args:
            theme: ``"light"``, ``"dark"``, or ``"neutral"``, which is transparent and can be read on both.

        Raises:
            DataError: no inputs were given.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from mlkit.evaluate.pictures import THEMES

        if self.inputs is None or self.shown is None:
            raise DataError("nothing to draw", received="no inputs", todo="give worst_rows the inputs of the rows")
        back, text, line = THEMES[theme]
        height = -(-len(self.rows) // COLUMNS)
        figure = Figure(figsize=(8, 2.3 * height), dpi=150, facecolor=back, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(height, COLUMNS, squeeze=False).ravel()
        for axes in panels:
            axes.set_facecolor("none")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        for place, (row, axes) in enumerate(zip(self.rows, panels, strict=False)):
            self._draw(axes, place, text, line)
            title = "\n".join(textwrap.shorten(part, 24, placeholder=" …") for part in row.title().splitlines())
            axes.set_title(title, fontsize=9, color=text)
        return figure

    def _draw(self, axes: Axes, place: int, text: str, line: str) -> None:
        from mlkit.evaluate.pictures import COLOURS

        assert self.inputs is not None
        one = self.inputs[place]
        if self.shown == "image":
            axes.imshow(_as_picture(np.asarray(one, dtype=np.float64)), cmap="gray", interpolation="nearest")
        elif self.shown == "series":
            for channel, values in enumerate(np.atleast_2d(np.asarray(one, dtype=np.float64))):
                axes.plot(values, color=COLOURS[channel % len(COLOURS)], linewidth=1.0)
            axes.spines["bottom"].set_visible(True)
            axes.spines["bottom"].set_color(line)
        else:
            written = _written(str(one)) if self.shown == "text" else self._columns(np.asarray(one))
            axes.text(0.0, 1.0, written, va="top", fontsize=8, color=text, family="monospace", transform=axes.transAxes)

    def _columns(self, values: NDArray[np.generic]) -> str:
        names = self.features or tuple(f"column {place}" for place in range(len(values)))
        parts = [f"{name[:14]} {value:.4g}" for name, value in zip(names, values, strict=True)]
        more = [f"and {len(parts) - MOST_FEATURES} more"] if len(parts) > MOST_FEATURES else []
        return "\n".join([*parts[:MOST_FEATURES], *more])


def worst_rows(
    predictions: Predictions,
    labels: Predictions | Sequence[int],
    *,
    outputs: Outputs = "probabilities",
    inputs: object = None,
    shown: Shown | None = None,
    names: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    only_errors: bool = True,
    most: int = 12,
) -> WorstRows:
    """The rows with the largest loss: cross-entropy for classes, the squared error for numbers.

    Args:
        predictions: ``(n, C)`` probabilities or logits; or ``(n,)`` values with ``outputs="values"``.
        labels: ``(n,)`` classes, or values.
        outputs: what ``predictions`` are.
        inputs: of the rows, for the sheet: images ``(n, channels, h, w)`` or ``(n, h, w)``, series ``(n, channels,
            length)``, table rows ``(n, columns)``, or a list of texts.
        shown: how they are drawn; by their shape where left out (three axes are images: say ``"series"`` for series).
        names: of the classes.
        features: names of a table's columns.
        only_errors: only rows whose predicted class is wrong: the most confident errors.
        most: rows on the sheet.

    Raises:
        DataError: inputs or labels that do not fit.
        ModelError: predictions that are none.

    >>> print(worst_rows([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 0]))
    the worst 2 of 3 rows bear 96.0% of the loss
      row 2: 0 -> 1 (80.0%), loss 1.609
      row 1: 0 -> 1 (60.0%), loss 0.9163
    """
    if most < 1:
        raise DataError("no rows were asked for", received=f"most={most}", allowed="1 or more")
    if outputs == "values":
        losses, described = _of_values(predictions, labels)
        candidates = np.arange(len(losses))
    else:
        table, classes = probabilities_and_labels(predictions, labels, outputs=outputs)
        known = class_names(names, table.shape[1])
        losses = -np.log(np.maximum(table[np.arange(len(classes)), classes], SMALLEST))
        guesses, sure = table.argmax(1), table.max(1)
        described = [(known[a], known[b], float(c)) for a, b, c in zip(classes, guesses, sure, strict=True)]
        candidates = np.flatnonzero(guesses != classes) if only_errors else np.arange(len(classes))
    chosen = candidates[np.argsort(-losses[candidates], kind="stable")][:most]
    rows = tuple(Row(int(row), float(losses[row]), *described[row]) for row in chosen)
    total = float(losses.sum())
    drawn, how = _inputs(inputs, shown, len(losses), chosen)
    share = float(losses[chosen].sum()) / total if total else 0.0
    return WorstRows(rows, len(losses), share, drawn, how, None if features is None else tuple(features))


def _of_values(predictions: object, labels: object) -> tuple[Floats, list[tuple[str, str, float | None]]]:
    values, truth = numbers(predictions).astype(np.float64), numbers(labels).astype(np.float64)
    if values.size != truth.size or len(values) != len(truth) or values.size != len(values):
        raise DataError(
            "predictions and targets are not one number a row",
            received=f"{values.shape} and {truth.shape}",
            allowed="(n,) for both",
        )
    values, truth = values.ravel(), truth.ravel()
    losses = (values - truth) ** 2
    evidence_of(losses, "the rows")  # refuses what is not finite
    return losses, [(f"{a:.4g}", f"{b:.4g}", None) for a, b in zip(truth, values, strict=True)]


def _inputs(
    inputs: object, shown: Shown | None, rows: int, chosen: NDArray[np.int64]
) -> tuple[NDArray[np.generic] | list[str] | None, Shown | None]:
    if inputs is None:
        return None, None
    if isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], str):
        if len(inputs) != rows:
            raise DataError("inputs are not of these rows", received=f"{len(inputs)} texts", allowed=f"{rows}")
        return [str(inputs[row]) for row in chosen], "text"
    values = numbers(inputs)
    by_shape: dict[int, Shown] = {2: "table", 3: "image", 4: "image"}
    how = shown or by_shape.get(values.ndim)
    if len(values) != rows or how is None:
        raise DataError(
            "inputs are not of these rows, or cannot be drawn",
            received=f"shape {values.shape}",
            allowed=f"{rows} rows with one to three further axes, or as many texts",
        )
    return values[chosen], how


def _as_picture(one: Floats) -> Floats:
    """Height, width and colour, from 0 to 1; standardised values are stretched over their own range."""
    channels_first = one.ndim == 3 and one.shape[0] in (1, 3) and one.shape[2] not in (1, 3)
    picture = np.moveaxis(one, 0, 2) if channels_first else one
    picture = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    span = float(picture.max() - picture.min())
    return np.asarray((picture - picture.min()) / (span or 1.0), dtype=np.float64)


def _written(text: str) -> str:
    return "\n".join(textwrap.wrap(text, TEXT_WIDTH)[:8])
