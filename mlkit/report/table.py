"""`metrics_table`: the metrics of every split with their intervals, for a terminal, a file and a notebook.

Not here: how the numbers are made (`mlkit.engine.evaluation`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlkit.data.bundle import SPLIT_NAMES
from mlkit.engine.state import SplitMetrics
from mlkit.metrics.estimate import Estimate

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

WIDTH = 80
GAP = "  "
NOTE = "[low, high] is a 95 % interval"


@dataclass(frozen=True)
class MetricsTable:
    """A row a split and a column a metric; print it, show it in a notebook, or ask for `text`.

    Args:
        metrics: split name to metric name to `Estimate`, in the order in which they are shown.
    """

    metrics: Mapping[str, SplitMetrics]

    def text(self, *, width: int = WIDTH) -> str:
        """The table as plain text.

        Args:
            width: characters in a line. Where the intervals do not fit beside the values they go below them; where
                that is too wide, each split becomes a paragraph.
        """
        if not self.metrics:
            return "no split was evaluated"
        cells = _cells(self.metrics)
        for lines in (self._in_columns(cells, stacked=False), self._in_columns(cells, stacked=True)):
            if max(map(len, lines)) <= width:
                break
        else:
            lines = self._in_paragraphs(cells)
        return "\n".join([*lines, *self.notes()])

    def notes(self) -> list[str]:
        """What is to be known of the intervals, and why some numbers have none."""
        estimates = [estimate for row in self.metrics.values() for estimate in row.values()]
        why: dict[str, str] = {}
        for row in self.metrics.values():
            for name, estimate in row.items():
                if estimate.low is None and estimate.method:
                    why.setdefault(name, estimate.method.removeprefix("none: ").removeprefix("undefined: "))
        notes = [NOTE] if any(estimate.low is not None for estimate in estimates) else []
        return notes + [f"{name} without an interval: {reason}" for name, reason in why.items()]

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.metrics.values() for name in row))

    def _in_columns(self, cells: Mapping[tuple[str, str], tuple[str, str]], *, stacked: bool) -> list[str]:
        rows = [["split", "examples", *(name.replace("_", " ") for name in self._columns())]]
        for split, row in self.metrics.items():
            pairs = [cells.get((split, name), ("-", "")) for name in self._columns()]
            rows.append([split, _count(row), *(a if stacked else f"{a} {b}".rstrip() for a, b in pairs)])
            if stacked and any(b for _, b in pairs):
                rows.append(["", "", *(b for _, b in pairs)])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return [_aligned(row, widths) for row in rows]

    def _in_paragraphs(self, cells: Mapping[tuple[str, str], tuple[str, str]]) -> list[str]:
        longest = max(len(name) for name in self._columns())
        lines = []
        for split, row in self.metrics.items():
            lines.append(f"{split} ({_count(row)} examples)")
            for name in row:
                title = name.replace("_", " ").ljust(longest)
                lines.append(f"{GAP}{title}{GAP}{' '.join(cells[split, name])}".rstrip())
        return lines

    def __str__(self) -> str:
        return self.text()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        head, *body = self.text(width=options.max_width).split("\n")
        notes = self.notes()
        yield Text(head, style="bold")
        for line in body:
            yield Text(line, style="dim" if line in notes else "")

    def _repr_html_(self) -> str:
        cell = "text-align:right;padding:2px 10px;border:none;background:none"
        titles = ["split", "examples", *(name.replace("_", " ") for name in self._columns())]
        head = "".join(
            f'<th style="{cell};border-bottom:1px solid currentColor">{html.escape(title)}</th>' for title in titles
        )
        cells = _cells(self.metrics)
        rows = []
        for split, row in self.metrics.items():
            parts = [html.escape(split), _count(row)]
            for name in self._columns():
                value, interval = cells.get((split, name), ("-", ""))
                parts.append(f'{value} <span style="opacity:0.65">{interval}</span>' if interval else value)
            rows.append("<tr>" + "".join(f'<td style="{cell}">{part}</td>' for part in parts) + "</tr>")
        notes = "".join(f'<div style="opacity:0.65">{html.escape(note)}</div>' for note in self.notes())
        return (
            '<div style="font-variant-numeric:tabular-nums"><table style="border-collapse:collapse">'
            f"<tr>{head}</tr>{''.join(rows)}</table>{notes}</div>"
        )


def metrics_table(metrics: Mapping[str, SplitMetrics]) -> MetricsTable:
    """A table of ``metrics``: a row a split, a column a metric, each value with its 95 % interval.

    Args:
        metrics: split name to metric name to `Estimate`, such as ``FitResult.metrics``.

    Example:
        >>> from mlkit.metrics.intervals import wilson
        >>> print(metrics_table({"test": {"accuracy": wilson(356, 360)}, "val": {"accuracy": wilson(140, 144)}}))
        split  examples                 accuracy
        val         144  0.9722 [0.9308, 0.9891]
        test        360  0.9889 [0.9718, 0.9957]
        [low, high] is a 95 % interval
    """
    known = [name for name in SPLIT_NAMES if name in metrics]
    return MetricsTable({name: metrics[name] for name in [*known, *(name for name in metrics if name not in known)]})


def _cells(metrics: Mapping[str, SplitMetrics]) -> dict[tuple[str, str], tuple[str, str]]:
    """Value and interval as texts, by split and metric; one number of decimals a metric, so that points align."""
    columns: dict[str, list[Estimate]] = {}
    for row in metrics.values():
        for name, estimate in row.items():
            columns.setdefault(name, []).append(estimate)
    decimals = {name: decimals_for(estimates) for name, estimates in columns.items()}
    return {
        (split, name): (_fixed(estimate.value, decimals[name]), _interval(estimate, decimals[name]))
        for split, row in metrics.items()
        for name, estimate in row.items()
    }


def decimals_for(estimates: Sequence[Estimate]) -> int:
    """Decimals that show the interval to about three digits, where there is one, else the value to four.

    From 0.1 on there are at most four: a rate to a hundredth of a per cent says enough.

    >>> decimals_for([Estimate(0.9889, 0.9717, 0.9957)]), decimals_for([Estimate(53.2, 48.1, 58.3)])
    (4, 2)
    """
    needed = [0]
    for estimate in estimates:
        if estimate.low is not None and estimate.high is not None and estimate.high > estimate.low:
            needed.append(2 - _magnitude((estimate.high - estimate.low) / 2))
        elif math.isfinite(estimate.value) and estimate.value != 0:
            needed.append(3 - _magnitude(estimate.value))
    largest = max((abs(e.value) for e in estimates if math.isfinite(e.value)), default=1.0)
    return min(max(needed), 4 if largest >= 0.1 or largest == 0 else 3 - _magnitude(largest))


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if math.isfinite(value) and value else 0


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if abs(value) < 1e9 else f"{value:.4g}"


def _interval(estimate: Estimate, decimals: int) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{_fixed(estimate.low, decimals)}, {_fixed(estimate.high, decimals)}]"


def _count(row: SplitMetrics) -> str:
    return f"{max((estimate.count for estimate in row.values()), default=0):,}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(_pad(row, widths)).rstrip()


def _pad(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The first column starts at the left, numbers end at the right."""
    for index, (text, width) in enumerate(zip(row, widths, strict=True)):
        yield text.ljust(width) if index == 0 else text.rjust(width)
