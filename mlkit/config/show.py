"""What a run says before its first step and after its last: data, model, speed; results, what to do next, the folder.

Not here: progress in between (`mlkit.tracking.Console`) and the tables themselves (`mlkit.report`).
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mlkit import __version__
from mlkit.config.run_folder import shown
from mlkit.engine.hooks import Hook

if TYPE_CHECKING:
    from torch import nn

    from mlkit.config.job import RunResult
    from mlkit.config.schema import Config
    from mlkit.data.bundle import DataBundle
    from mlkit.engine.state import TrainState

_LABEL = 8
MOST_COLUMNS = 110


class Header(Hook):
    """Says what is about to be trained, when speed and resumption are settled."""

    def __init__(self, config: Config, data: DataBundle, model: nn.Module, folder: Path) -> None:
        self.config, self.data, self.model, self.folder = config, data, model, folder

    def on_fit_start(self, state: TrainState) -> None:
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        why = ""
        if self.config.model.name == "auto":
            why = f"; chosen by model=auto for {self.data.task.input_kind} data"
        say(f"mlkit {__version__}: {self.config.run_name}, seed {self.config.seed}")
        say_labelled("data", str(self.data))
        for title, text in self.data.notes.items():
            if title in ("limit", "classes", "dropped"):
                say_labelled("", f"{title}: {text}")
        say_labelled("model", f"{type(self.model).__name__}, {parameters:,} parameters{why}")
        reason = str(state.about.get("speed", {}).get("reason", ""))
        if reason:
            say_labelled("speed", reason.removeprefix("speed: "))
        say_labelled("folder", shown(self.folder))
        say("")


def closing(result: RunResult, overrides: Sequence[str] = ()) -> None:
    """The table of results with intervals, and what to do next.

    Args:
        result: of the run.
        overrides: settings of the command line, which the suggested commands repeat.
    """
    from mlkit.report import metrics_table, suggest
    from mlkit.report.evidence import evidence_of

    state = result.fit.state
    say("")
    if result.status == "interrupted":
        say(f"{state.stop_reason}: saved at step {state.step:,}")
        say(f"go on with: python -m mlkit.train resume={shown(result.folder)}")
        return
    say(metrics_table(result.metrics).text(width=_columns()))
    say("")
    evidence = evidence_of(
        result.fit,
        settings=result.config.to_dict(),
        overrides=overrides,
        folder=shown(result.folder),
        task=result.data.task,
    )
    suggestions = suggest(evidence)
    for number, suggestion in enumerate(suggestions):
        say_labelled("next" if number == 0 else "", f"{suggestion.finding}; {suggestion.advice}:")
        say(f"{'':<{_LABEL}}  {suggestion.command}")  # in one line, so that it can be copied
    if suggestions:
        say("")


def last_line(folder: Path) -> None:
    """The run folder, which is the last that a command prints."""
    say(f"run folder: {shown(folder)}")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line; where nobody reads any more (``| head``) nothing happens."""
    with contextlib.suppress(BrokenPipeError):
        print(text, file=stream or sys.stdout, flush=True)


def say_labelled(label: str, text: str) -> None:
    """A line with its label in the first columns, folded under itself on narrow terminals."""
    for number, line in enumerate(_folded(text, _LABEL)):
        say(f"{label if number == 0 else '':<{_LABEL}}{line}")


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _folded(text: str, margin: int) -> list[str]:
    width = max(20, min(_columns(), MOST_COLUMNS) - margin)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
