"""What the console shows, as plain text: the columns that fit, one row an epoch, numbers and times in a few characters.

Not here: where it is shown (`mlkit.tracking.console_terminal` and its neighbours).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlkit.engine.state import TrainState
from mlkit.tracking.points import PLACE

GAP = "  "
BEST = " *"  # behind the row that is the best so far


@dataclass(frozen=True)
class Progress:
    """How far a run is, for a bar or a line; None where it is not known.

    Args:
        epoch: the epoch under way, the first being 1.
        max_epochs: planned epochs.
        step: optimiser steps done.
        max_steps: planned steps.
        fraction: share of the planned steps that is done.
        loss: mean loss of the last batches.
        score: newest value on held-out data and its name.
        rate: examples a second in this epoch.
        left: seconds left.
    """

    epoch: int
    max_epochs: int | None
    step: int
    max_steps: int | None
    fraction: float | None = None
    loss: float | None = None
    score: tuple[str, float] | None = None
    rate: float | None = None
    left: float | None = None


@dataclass(frozen=True)
class Row:
    """One epoch.

    Args:
        epoch: epochs completed.
        step: optimiser steps done.
        values: by ``"split/metric"``.
        seconds: training time so far.
        best: whether it is the best so far.
    """

    epoch: int
    step: int
    values: Mapping[str, float]
    seconds: float
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column of the table: the key of its values, its title and its width."""

    key: str
    title: str
    width: int


@dataclass(frozen=True)
class Layout:
    """The columns of a run's table, fixed with its first row so that all rows are aligned."""

    columns: tuple[Column, ...]
    max_epochs: int | None

    def header(self) -> str:
        """The titles."""
        return GAP.join(column.title.rjust(column.width) for column in self.columns)

    def cells(self, row: Row) -> list[str]:
        """The texts of a row, one a column."""
        fixed = {"epoch": of(row.epoch, self.max_epochs), "time": clock(row.seconds)}
        return [fixed.get(column.key) or number(row.values.get(column.key)) for column in self.columns]

    def line(self, row: Row) -> str:
        """A row as aligned text."""
        cells = zip(self.cells(row), self.columns, strict=True)
        return GAP.join(text.rjust(column.width) for text, column in cells) + (BEST if row.best else "")


def make_layout(row: Row, *, width: int, max_epochs: int | None) -> Layout:
    """The columns of a table that starts with ``row``: the most telling ones that fit into ``width`` characters."""
    keys = list(row.values)
    losses = [key for key in ("train/loss", "running/loss") if key in keys][:1]
    # The first metric after the loss is the task's main one; the others follow where there is room.
    scores = [key.partition("/")[2] for key in keys if not key.endswith("/loss")]
    main = [f"{split}/{name}" for name in scores[:1] for split in ("train", "val") if f"{split}/{name}" in keys]
    others = [key for key in keys if key.startswith("val/") and key not in (*main, "val/loss")]
    by_weight = ["epoch", "val/loss", *reversed(main), *losses, "time", *others]
    in_order = ["epoch", *losses, "val/loss", *main, *others, "time"]
    chosen: set[str] = set()
    room = width - len(BEST)
    for key in (key for key in by_weight if key in ("epoch", "time", *keys)):
        needed = _column(key, max_epochs).width + (len(GAP) if chosen else 0)
        if needed <= room:
            chosen.add(key)
            room -= needed
    return Layout(tuple(_column(key, max_epochs) for key in in_order if key in chosen), max_epochs)


def _column(key: str, max_epochs: int | None) -> Column:
    split, _, metric = key.partition("/")
    title = f"{'train' if split == 'running' else split} {metric}".replace("_", " ").strip()
    least = len(of(max_epochs or 9999, max_epochs)) if key == "epoch" else 7
    return Column(key, title, max(len(title), least))


def last_row(history: Sequence[Mapping[str, Any]], state: TrainState) -> Row | None:
    """The row of the newest epoch in ``history``; None where it has none."""
    lines = [entry for entry in history if not entry.get("final")]
    if not lines:
        return None
    newest = lines[-1]
    values = {
        f"{entry['split']}/{name}": value
        for entry in lines
        if entry["step"] == newest["step"]
        for name, value in entry.items()
        if name not in PLACE
    }
    return Row(newest["epoch"], newest["step"], values, state.seconds, best=state.best_step == newest["step"])


def progress_parts(progress: Progress) -> dict[str, str]:
    """The texts that go with a bar, by name; what is not known is left out."""
    parts = {"epoch": f"epoch {of(progress.epoch, progress.max_epochs)}"}
    if progress.fraction is not None:
        parts["percent"] = f"{math.floor(100 * progress.fraction):3d}%"
    parts["step"] = f"step {of(progress.step, progress.max_steps, ',')}"
    if progress.loss is not None:
        parts["loss"] = f"loss {number(progress.loss)}"
    if progress.score is not None:
        parts["score"] = f"{progress.score[0]} {number(progress.score[1])}"
    if progress.rate is not None:
        parts["rate"] = f"{short(progress.rate)}/s"
    if progress.left is not None:
        parts["left"] = f"{clock(progress.left)} left"
    return parts


def of(done: int, planned: int | None, group: str = "") -> str:
    """``done`` out of ``planned``, in a width that does not change while it grows.

    >>> of(3, 20), of(3, None), of(1234, 9000, ",")
    (' 3/20', '3', '1,234/9,000')
    """
    if planned is None:
        return f"{done:{group}}"
    total = f"{planned:{group}}"
    return f"{f'{done:{group}}'.rjust(len(total))}/{total}"


def number(value: float | None) -> str:
    """Four decimals where that says enough, else four significant digits; at most nine characters.

    >>> number(0.98765), number(1234.56), number(0.00001234), number(float("nan")), number(None)
    ('0.9877', '1235', '1.234e-05', 'nan', '-')
    """
    if value is None:
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 100:
        return f"{value:.4f}"
    return f"{value:.4g}"


def short(value: float) -> str:
    """A count in at most five characters.

    >>> short(87.3), short(1234), short(12345), short(2_345_678), short(999_999)
    ('87', '1.2k', '12k', '2.3M', '1.0M')
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size * (1 - 5e-4):
            scaled = value / size
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{value:.0f}"


def clock(seconds: float) -> str:
    """A duration as on a clock.

    >>> clock(7.4), clock(83), clock(3 * 3600 + 62), clock(50 * 3600)
    ('0:07', '1:23', '3:01:02', '2d 02h')
    """
    whole = int(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600, whole // 60 % 60, whole % 60
    if days:
        return f"{days}d {hours % 24:02d}h"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
