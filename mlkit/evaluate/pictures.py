"""Pictures of terms: a waterfall for steps, a stacked bar for parts, a map of rows; light, dark, or for both.

Not here: the numbers, which come from the results that are drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mlkit.evaluate.terms import Term, decimals_of, fixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlkit.evaluate.cartography import Cartography

Theme = Literal["light", "dark", "neutral"]

# Background, text, lines. The grey of "neutral" has a contrast of 4.0 or more against white and against #111111.
THEMES = {
    "light": ("white", "#222222", "#BBBBBB"),
    "dark": ("#15181C", "#E4E6E8", "#5A6068"),
    "neutral": ("none", "#7A7A7A", "#999999"),
}
# Okabe and Ito's, told apart with any colour vision, and clear on both backgrounds.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
TOTAL = "#8C8C8C"


def new_figure(height: float, *, theme: Theme) -> tuple[Figure, Axes]:
    """An empty picture, 8 inches wide, without pyplot: no global state and no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    back, text, line = THEMES[theme]
    figure = Figure(figsize=(8, height), dpi=150, facecolor=back, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_facecolor(back)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(line)
    axes.tick_params(which="both", color=line, labelcolor=text, labelsize=10)
    axes.set_axisbelow(True)
    return figure, axes


def waterfall(terms: Sequence[Term], total: Term, *, unit: str, theme: Theme = "light") -> Figure:
    """Each step from where the one before ended, with its interval; the total as a bar from 0 below them.

    Steps that are not resolved are pale, so that a tall bar is not taken for a fact.
    """
    figure, axes = new_figure(0.9 + 0.52 * (len(terms) + 1), theme=theme)
    text, line = THEMES[theme][1:]
    height, start = 0.56, 0.0
    decimals = decimals_of([*terms, total])
    right = []
    for row, (term, colour) in enumerate(zip([*terms, total], [*COLOURS[: len(terms)], TOTAL], strict=True)):
        left = 0.0 if term is total else start
        axes.barh(row, term.value, height, left=left, color=colour, alpha=1.0 if term.resolved else 0.4)
        ends = [left, left + term.value]
        if term.low is not None and term.high is not None:
            ends += [left + term.low, left + term.high]
            axes.plot([left + term.low, left + term.high], [row, row], color=text, linewidth=1.4)
        if term is not total:
            start += term.value
            axes.plot([start, start], [row - height / 2, row + 1 + height / 2], color=line, linewidth=0.9, zorder=0)
        right.append(max(ends))
        _beside(axes, max(ends), row, _label(term, decimals), text)
    names = [term.name for term in (*terms, total)]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.axvline(0, color=line, linewidth=0.9)
    _room(axes, right)
    axes.set_xlabel(unit, color=text)
    return figure


def stacked(rows: Sequence[tuple[str, Sequence[Term]]], *, unit: str, theme: Theme = "light") -> Figure:
    """One bar a row, made of its terms, each labelled inside; negative parts go to the left of 0.

    Args:
        rows: label and terms of each bar.
        unit: what the axis counts.
        theme: see `THEMES`.
    """
    figure, axes = new_figure(1.2 + 0.95 * len(rows), theme=theme)
    text, line = THEMES[theme][1:]
    colours: dict[str, str] = {}
    decimals = decimals_of([term for _, terms in rows for term in terms])
    for row, (_, terms) in enumerate(rows):
        ahead, behind = 0.0, 0.0
        for term in terms:
            colour = colours.setdefault(term.name, COLOURS[len(colours) % len(COLOURS)])
            left = ahead if term.value >= 0 else behind
            axes.barh(row, term.value, 0.46, left=left, color=colour, label=term.name)
            ahead, behind = ahead + max(term.value, 0.0), behind + min(term.value, 0.0)
            if term.low is not None and term.high is not None:
                # Below the bar, from where the part begins, so that neighbours' intervals do not lie on each other.
                height = row + 0.30 + 0.07 * (list(terms).index(term) % 3)
                axes.plot([left + term.low, left + term.high], [height, height], color=colour, linewidth=2.2)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.35, -0.5)
    axes.axvline(0, color=line, linewidth=0.9)
    axes.set_xlabel(f"{unit}; the lines below a bar are 95 % intervals of its parts", color=text)
    _legend(axes, rows, decimals, text)
    return figure


def _legend(axes: Axes, rows: Sequence[tuple[str, Sequence[Term]]], decimals: int, text: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    terms = {term.name: term for _, parts in rows for term in parts}
    first = {label: handle for handle, label in reversed(list(zip(handles, labels, strict=True)))}
    names = [name for name in terms if name in first]
    axes.legend(
        [first[name] for name in names],
        [f"{name} {_label(terms[name], decimals)}" for name in names],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        frameon=False,
        labelcolor=text,
        fontsize=9.5,
    )


def _label(term: Term, decimals: int) -> str:
    return fixed(term.value, decimals) + ("" if term.resolved else " (not resolved)")


def _beside(axes: Axes, x: float, y: float, label: str, colour: str) -> None:
    axes.annotate(label, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=10, color=colour)


def _room(axes: Axes, right: Sequence[float]) -> None:
    """Space for the longest label at the right of the longest bar."""
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.0), max(high, max(right)) + 0.22 * (max(high, max(right)) - min(low, 0.0)))


def svg(figure: Figure) -> str:
    """The picture as HTML that needs no file, 100 % wide up to 46em."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    return f'<div style="max-width:46em">{drawing}</div>'


def row_map(found: Cartography, *, unit: str, theme: Theme = "light") -> Figure:
    """A point a row, by variance and bias + noise, in a colour a kind; the line is where the two are equal."""
    figure, axes = new_figure(4.6, theme=theme)
    text, line = THEMES[theme][1:]
    axes.spines["left"].set_visible(True)
    axes.spines["left"].set_color(line)
    counts = found.counts
    for kind, colour in zip(counts, (TOTAL, COLOURS[5], COLOURS[4]), strict=True):
        chosen = found.kinds == kind
        label = f"{kind} ({counts[kind]:,})"
        axes.plot(found.variance[chosen], found.bias[chosen], ".", color=colour, markersize=5, alpha=0.6, label=label)
    end = min(axes.get_xlim()[1], axes.get_ylim()[1])
    axes.plot([0, end], [0, end], color=line, linewidth=0.9, zorder=0)
    axes.set_xlabel(f"variance of the row ({unit})", color=text)
    axes.set_ylabel("bias + noise of the row", color=text)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, labelcolor=text)
    return figure
