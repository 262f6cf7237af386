"""`Console`: how a run is getting on, live on a terminal or in a notebook, as plain lines anywhere else.

Not here: the results with their intervals at the end (`mlkit.report`).
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections import deque
from typing import Literal, Protocol, TextIO

import torch
from torch import Tensor

from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.engine.stopping import format_duration
from mlkit.tracking.console_notebook import NotebookDisplay, in_notebook
from mlkit.tracking.console_plain import WIDTH, PlainDisplay
from mlkit.tracking.console_rows import Progress, Row, last_row
from mlkit.tracking.console_terminal import TerminalDisplay
from mlkit.tracking.guard import harmless

Style = Literal["auto", "terminal", "plain", "notebook"]
LOSSES = 50  # the loss shown is the mean of so many last steps
BETWEEN_READS = 1.0  # seconds; reading the loss waits for a GPU


class Display(Protocol):
    """A place where progress is shown."""

    @property
    def interval(self) -> float:
        """Seconds between two calls of `progress`."""

    def row(self, row: Row) -> None:
        """Show a finished epoch."""

    def progress(self, progress: Progress) -> None:
        """Show how far the run is."""

    def note(self, text: str) -> None:
        """Show a line of text."""

    def close(self) -> None:
        """Leave the place tidy."""


class Console(Hook):
    """Shows one row an epoch, and below it a bar with loss, speed and time left.

    A row with ``*`` was the best so far. A step costs the hook well under a microsecond: it keeps the loss, unread, and
    looks at the clock. When the stream is closed the run goes on in silence.

    Args:
        file: where to write; by default standard output as it is when the run starts.
        style: ``"auto"`` is live on a terminal and in a notebook, and plain lines, without any control characters, in a
            file, a pipe, CI (the variable ``CI`` is set) or where ``TERM`` is ``dumb``; the others insist.

    Example:
        >>> import sys, torch
        >>> from mlkit.engine.fit import fit
        >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> data = (x, (x[:, 0] > 0).long())
        >>> _ = fit(torch.nn.Linear(2, 2), data, max_epochs=2, hooks=[Console(file=sys.stdout, style="plain")])
        epoch  train loss ...
          1/2      ...
    """

    def __init__(self, *, file: TextIO | None = None, style: Style = "auto") -> None:
        self.file, self.style = file, style
        self.warned = False
        self._display: Display | None = None
        self._losses: deque[Tensor] = deque(maxlen=LOSSES)
        self._loss: float | None = None
        self._seen = 0  # entries of the history that are shown
        self._row_step = -1
        self._due = self._read_at = self._began = self._epoch_began = 0.0
        self._steps_before = self._examples_before = 0

    @harmless
    def on_fit_start(self, state: TrainState) -> None:
        self._losses.clear()
        self._loss, self._row_step = None, state.step
        self._seen, self._steps_before = len(state.history), state.step
        self._began = self._read_at = time.monotonic()
        self._display = make_display(self.file, self.style, max_epochs=state.max_epochs)
        self._due = self._began + self._display.interval
        if state.step:
            self._display.note(f"going on from epoch {state.epoch}, step {state.step:,}")

    @harmless
    def on_epoch_start(self, state: TrainState) -> None:
        self._show_row(state, self._display)
        self._epoch_began, self._examples_before = time.monotonic(), state.examples

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self._losses.append(loss)
        if time.monotonic() >= self._due:
            self._show_progress(state)

    @harmless
    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        if split == "val":  # the last of those that a row shows
            self._show_row(state, self._display)
            if time.monotonic() >= self._due:
                self._show_progress(state)

    @harmless
    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        self._losses.clear()
        display, self._display = self._display, None
        if display is None:
            return
        try:
            self._show_row(state, display)
            display.note(ending(state, error))
        finally:
            display.close()

    @harmless
    def _show_progress(self, state: TrainState) -> None:
        now = time.monotonic()
        self._due = now + (math.inf if self._display is None else self._display.interval)
        if self._losses and (self._loss is None or now - self._read_at >= BETWEEN_READS):
            self._loss, self._read_at = float(torch.stack(list(self._losses)).mean()), now
        if self._display is not None:
            self._display.progress(self._progress(state, now))

    def _progress(self, state: TrainState, now: float) -> Progress:
        steps, elapsed, in_epoch = state.step - self._steps_before, now - self._began, now - self._epoch_began
        return Progress(
            epoch=min(state.epoch + 1, state.max_epochs or state.epoch + 1),
            max_epochs=state.max_epochs,
            step=state.step,
            max_steps=state.max_steps,
            fraction=min(state.step / state.max_steps, 1.0) if state.max_steps else None,
            loss=self._loss,
            score=_score(state),
            rate=(state.examples - self._examples_before) / in_epoch if in_epoch > 0 else None,
            left=elapsed / steps * (state.max_steps - state.step) if state.max_steps and steps else None,
        )

    def _show_row(self, state: TrainState, display: Display | None) -> None:
        new = state.history[self._seen :]
        self._seen = len(state.history)
        row = last_row(new, state)
        if row is not None and row.step != self._row_step and display is not None:
            self._row_step = row.step
            display.row(row)


def make_display(file: TextIO | None, style: Style, *, max_epochs: int | None) -> Display:
    """The display that suits the place, or the one that ``style`` insists on."""
    if style == "notebook" or (style == "auto" and file is None and in_notebook()):
        return NotebookDisplay(max_epochs=max_epochs)
    stream = sys.stdout if file is None else file
    tty = stream.isatty()
    dumb = os.environ.get("TERM", "") in ("dumb", "unknown") or bool(os.environ.get("CI"))
    if style == "terminal" or (style == "auto" and tty and not dumb):
        return TerminalDisplay(stream, max_epochs=max_epochs)
    width = shutil.get_terminal_size((WIDTH, 24)).columns if tty else WIDTH
    return PlainDisplay(stream, max_epochs=max_epochs, width=width)


def ending(state: TrainState, error: BaseException | None) -> str:
    """How a run ended, in one line."""
    epochs = "1 epoch" if state.epoch == 1 else f"{state.epoch:,} epochs"
    steps = "1 step" if state.step == 1 else f"{state.step:,} steps"
    lasted = f"{state.seconds:.1f} s" if state.seconds < 60 else format_duration(state.seconds)
    text = f"{state.status} after {epochs}, {steps}, {lasted}"
    best = next((entry["epoch"] for entry in state.history if entry["step"] == state.best_step), None)
    if best is not None:
        text += f"; best (*) at epoch {best}"
    why = type(error).__name__ if error is not None else state.stop_reason
    return text if why is None else f"{text}\n{why}"


def _score(state: TrainState) -> tuple[str, float] | None:
    """The newest held-out value of the task's main metric, which comes after the loss."""
    metrics = state.metrics.get("val")
    if not metrics:
        return None
    name = next((name for name in metrics if name != "loss"), "loss")
    return f"val {name}".replace("_", " "), metrics[name].value
