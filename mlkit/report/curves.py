"""`save_curves`: loss and main metric over the epochs, as one picture.

Not here: the numbers with their intervals (`mlkit.report.table`) and curves while a run goes on (`mlkit.tracking`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlkit.errors import ConfigError, MlkitError
from mlkit.metrics.objectives import direction
from mlkit.runtime.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue and orange of Okabe and Ito, which people with any colour vision tell apart; the rest is grey.
COLOURS = {"train": "#0072B2", "running": "#0072B2", "val": "#D55E00", "target_val": "#009E73", "test": "#CC79A7"}
GREY = "#555555"
MARKERS_UP_TO = 12  # points are marked while there are so few that the line alone says little
DECADE = 10.0


@dataclass(frozen=True)
class Curve:
    """One metric of one split over the epochs; values may be NaN."""

    split: str
    epochs: list[float]
    values: list[float]


def save_curves(
    history: Sequence[Mapping[str, Any]], path: Path | str, *, title: str | None = None, metric: str | None = None
) -> None:
    """Draw the loss of ``train`` and ``val`` over the epochs, and below it the main metric, and save a PNG.

    The loss has a logarithmic axis where it spans more than a decade. The best epoch on ``val`` (on ``train`` where
    there is no ``val``) is marked in each panel, and so are epochs whose value is not a number. For ``train`` the
    evaluated examples are drawn, or the mean loss of the steps where none were evaluated.

    Args:
        history: the evaluations of a run, ``FitResult.history``; those of whole splits at its end are not drawn.
        path: the picture; 1600 x 1120 pixels, made to be read at half that size.
        title: stands above.
        metric: the metric below; by default the first one after the loss.

    Raises:
        ConfigError: ``metric`` was never evaluated.
        MlkitError: nothing was evaluated, or the picture cannot be written.

    Example:
        >>> import tempfile
        >>> history = [{"step": e, "epoch": e, "split": "val", "loss": 1 / e, "accuracy": 1 - 1 / e} for e in (1, 2, 3)]
        >>> save_curves(history, Path(tempfile.mkdtemp()) / "curves.png")
    """
    # `Figure` without pyplot: no global state, no window, whatever back end the person has chosen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    loss, other = curves(history, "loss"), _main_metric(history, metric)
    panels = [("loss", loss), *([] if other is None else [(other, curves(history, other))])]
    panels = [(name, found) for name, found in panels if found]
    if not panels:
        raise MlkitError("no curve can be drawn", received="a history without evaluations", todo="train for an epoch")
    figure = Figure(figsize=(8, 5.6 if len(panels) > 1 else 3.4), dpi=200, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
    for axis, (name, found) in zip(axes, panels, strict=True):
        _draw(axis, name, found)
    axes[-1].set_xlabel("epoch", color=GREY)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=11))
    _set_limits(axes[-1], [epoch for _, found in panels for curve in found for epoch in curve.epochs])
    if title:
        figure.suptitle(title, fontsize=12, x=0.02, ha="left")
    figure.draw_without_rendering()  # settles the layout, by which the names of the curves are placed
    for axis, (_, found) in zip(axes, panels, strict=True):
        _label(axis, found)
    try:
        write_atomic(path, lambda file: figure.savefig(file, format="png"))
    except OSError as error:
        raise MlkitError("the picture cannot be written", received=f"{path}: {error}") from error


def curves(history: Sequence[Mapping[str, Any]], metric: str) -> list[Curve]:
    """The curves of ``metric`` that are drawn together, ``train`` first."""
    found: dict[str, dict[float, float]] = {}
    for entry in history:
        value = entry.get(metric)
        if not entry.get("final") and isinstance(value, (int, float)):
            # The last one counts: an epoch may be evaluated again after a resume.
            found.setdefault(entry["split"], {})[entry["epoch"]] = float(value)
    if "train" in found:
        found.pop("running", None)
    order = list(COLOURS)
    splits = sorted(found, key=lambda split: order.index(split) if split in order else len(order))
    return [Curve(split, list(found[split]), list(found[split].values())) for split in splits]


def _main_metric(history: Sequence[Mapping[str, Any]], metric: str | None) -> str | None:
    lines = [entry for entry in history if not entry.get("final")]
    names = dict.fromkeys(
        name
        for entry in sorted(lines, key=lambda entry: entry["split"] != "val")
        for name, value in entry.items()
        if name not in ("step", "epoch", "split", "loss") and isinstance(value, (int, float))
    )
    if metric is not None and metric not in names:
        raise ConfigError("the metric was never evaluated", received=repr(metric), allowed=", ".join(names) or "none")
    return metric or next(iter(names), None)


def _draw(axis: Axes, name: str, found: Sequence[Curve]) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#BBBBBB")
    axis.tick_params(which="both", color="#BBBBBB", labelcolor=GREY, labelsize=10)
    axis.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.margins(y=0.08)
    _set_scale(axis, name, [value for curve in found for value in curve.values if math.isfinite(value)])
    for curve in found:
        marker = "o" if len(curve.epochs) <= MARKERS_UP_TO else None
        axis.plot(curve.epochs, curve.values, color=_colour(curve.split), linewidth=1.8, marker=marker, markersize=4)
    # Words go into the line above the panel, where no curve can run through them.
    notes = [_mark_best(axis, name, found), *_mark_not_finite(axis, found)]
    axis.set_title(name.replace("_", " "), loc="left", fontsize=11)
    axis.set_title("   ".join(filter(None, notes)), loc="right", fontsize=9.5, color=GREY)


def _set_scale(axis: Axes, name: str, numbers: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if not numbers:
        axis.set_yticks([])
    elif min(numbers) > 0 and max(numbers) / min(numbers) > DECADE and _smaller_is_better(name):
        axis.set_yscale("log")
        few = max(numbers) / min(numbers) < DECADE**3
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=12))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())


def _mark_best(axis: Axes, name: str, found: Sequence[Curve]) -> str:
    """A ring around the best value; what it is, in words."""
    judged = next((curve for curve in found if curve.split == "val"), found[0])
    pairs = [(v, e) for v, e in zip(judged.values, judged.epochs, strict=True) if math.isfinite(v)]
    if not pairs:
        return ""
    smaller = _smaller_is_better(name)
    value, epoch = min(pairs, key=lambda pair: (pair[0] if smaller else -pair[0], pair[1]))
    axis.plot([epoch], [value], "o", markersize=10, markerfacecolor="none", markeredgecolor=GREY, markeredgewidth=1.3)
    axis.axvline(epoch, color=GREY, linewidth=0.8, linestyle=(0, (1, 3)), zorder=0)
    return f"best on {_title(judged.split)}: {value:.4g} in epoch {epoch:g}"


def _mark_not_finite(axis: Axes, found: Sequence[Curve]) -> Iterator[str]:
    """A cross at the lower edge for every value that cannot be drawn, so that a gap is not taken for smoothness."""
    at_edge = axis.get_xaxis_transform()
    for row, curve in enumerate(found):
        epochs = [e for e, v in zip(curve.epochs, curve.values, strict=True) if not math.isfinite(v)]
        if epochs:
            heights = [0.03 + 0.06 * row] * len(epochs)
            axis.plot(epochs, heights, "x", color=_colour(curve.split), markersize=6, transform=at_edge)
            yield f"{_title(curve.split)} is not a number in {len(epochs)} of {len(curve.epochs)} epochs (x)"


def _label(axis: Axes, found: Sequence[Curve]) -> None:
    """The name of each curve at its end, moved apart where they would lie on each other."""
    from matplotlib.patheffects import withStroke

    ends = []
    for curve in found:
        last = [(e, v) for e, v in zip(curve.epochs, curve.values, strict=True) if math.isfinite(v)]
        if last:
            ends.append((*last[-1], curve.split))
    heights = [axis.transData.transform((epoch, value))[1] for epoch, value, _ in ends]
    for (epoch, value, split), shift in zip(ends, _apart(heights, least=30.0), strict=True):
        axis.annotate(
            _title(split),
            (epoch, value),
            xytext=(8, shift * 72 / axis.figure.dpi),
            textcoords="offset points",
            va="center",
            fontsize=10.5,
            color=_colour(split),
            annotation_clip=False,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _apart(heights: Sequence[float], *, least: float) -> list[float]:
    """How far each label must move so that no two are closer than ``least``.

    >>> _apart([100.0, 104.0], least=30.0), _apart([0.0, 50.0], least=30.0)
    ([-13.0, 13.0], [0.0, 0.0])
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = [heights[i] for i in order]
    for _ in range(100):
        moved = False
        for low in range(len(placed) - 1):
            overlap = least - (placed[low + 1] - placed[low])
            if overlap > 1e-6:
                placed[low] -= overlap / 2
                placed[low + 1] += overlap / 2
                moved = True
        if not moved:
            break
    shifts = [0.0] * len(heights)
    for position, index in zip(placed, order, strict=True):
        shifts[index] = position - heights[index]
    return shifts


def _set_limits(axis: Axes, epochs: Sequence[float]) -> None:
    first, last = min(epochs), max(epochs)
    if first == last:
        axis.set_xlim(first - 1, last + 1)
        axis.set_xticks([first])


def _smaller_is_better(name: str) -> bool:
    try:
        return direction(name) == "min"
    except ConfigError:  # a metric of the person's own
        return False


def _colour(split: str) -> str:
    return COLOURS.get(split, GREY)


def _title(split: str) -> str:
    return "train" if split == "running" else split.replace("_", " ")
