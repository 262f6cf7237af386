"""Progress on a terminal: finished epochs scroll up as a table, one bar for the whole run stays below.

Not here: what they say (`mlkit.tracking.console_rows`).
"""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, TextIO

from mlkit.tracking.console_rows import Layout, Progress, Row, make_layout, progress_parts

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

SHORTEST_BAR, LONGEST_BAR = 6, 40
WEIGHTS = ("epoch", "loss", "left", "percent", "score", "rate", "step")
"""What is kept beside the bar when the terminal is narrow, the most telling first."""


class TerminalDisplay:
    """A live display with rich; the cursor comes back however the process ends, short of a kill.

    Args:
        file: the terminal.
        max_epochs: planned epochs.
    """

    interval = 0.25  # seconds; four refreshes a second look alive and cost well under 1 % of the time

    def __init__(self, file: TextIO, *, max_epochs: int | None) -> None:
        from rich.console import Console

        class Screen(Console):
            def on_broken_pipe(self) -> None:
                raise  # rich calls this where it caught the error, and would end the process

        self.max_epochs = max_epochs
        self.screen = Screen(file=file, force_terminal=True, force_jupyter=False, highlight=False, markup=False)
        self.layout: Layout | None = None
        self.rows: list[Row] = []
        self.live: Live | None = None

    def row(self, row: Row) -> None:
        """Show a finished epoch, with the next refresh: very short epochs would spend their time on the terminal."""
        self.rows.append(row)

    def progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        from rich.live import Live

        if self.live is None:
            ours = self.screen.file is sys.stdout
            self.live = Live(
                console=self.screen,
                auto_refresh=False,
                transient=True,
                redirect_stdout=ours,
                # An error stream that goes to a file must go on doing so.
                redirect_stderr=ours and sys.stderr.isatty(),
            )
            atexit.register(self.close)
            self.live.start()
        self._print_rows()
        self.live.update(self._bar(progress), refresh=True)

    def note(self, text: str) -> None:
        """Show a line of text above the bar."""
        self._print_rows()
        self.screen.print(text)

    def close(self) -> None:
        """Remove the bar and give the cursor back."""
        live, self.live = self.live, None
        atexit.unregister(self.close)
        try:
            self._print_rows()
        finally:
            if live is not None:
                live.stop()

    def _print_rows(self) -> None:
        from rich.text import Text

        if not self.rows:
            return
        lines = []
        if self.layout is None:
            self.layout = make_layout(self.rows[0], width=self.screen.width, max_epochs=self.max_epochs)
            lines.append(Text(self.layout.header(), style="dim"))
        lines += [Text(self.layout.line(row), style="bold" if row.best else "") for row in self.rows]
        self.rows = []
        self.screen.print(Text("\n").join(lines), soft_wrap=True)

    def _bar(self, progress: Progress) -> Text:
        from rich.text import Text

        # The columns that stay free take the ^C that a terminal echoes, so that it does not break the line.
        room = self.screen.width - 3
        parts = progress_parts(progress)
        bar = 0 if progress.fraction is None else SHORTEST_BAR + 2
        kept: set[str] = set()
        for name in WEIGHTS:
            needed = len(parts.get(name, "")) + (2 if kept else 0)
            if name in parts and needed <= room - bar:
                kept.add(name)
                room -= needed
        line = Text(parts["epoch"] if "epoch" in kept else "", no_wrap=True, overflow="crop")
        if progress.fraction is not None:
            line.append("  ")
            self._draw(line, progress.fraction, min(room - 2, LONGEST_BAR))
        for name, text in parts.items():
            if name in kept and name != "epoch":
                line.append("  ").append(text)
        return line

    def _draw(self, line: Text, fraction: float, width: int) -> None:
        unicode = self.screen.encoding.lower().startswith("utf")
        done = int(width * fraction + 0.5)
        line.append(("━" if unicode else "#") * done, style="green")
        line.append(("━" if unicode else "-") * (width - done), style="dim")
