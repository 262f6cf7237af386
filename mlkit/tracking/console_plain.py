"""Progress as plain lines, for files, pipes, CI and terminals that cannot move the cursor.

Not here: what the lines say (`mlkit.tracking.console_rows`).
"""

from __future__ import annotations

from typing import TextIO

from mlkit.tracking.console_rows import Layout, Progress, Row, make_layout, progress_parts

WIDTH = 100  # a file has no width; this is read comfortably in most viewers


class PlainDisplay:
    """One line an epoch, and one a minute while an epoch lasts longer than that.

    Args:
        file: where the lines go.
        max_epochs: planned epochs.
        width: characters in a line at most.
    """

    interval = 60.0

    def __init__(self, file: TextIO, *, max_epochs: int | None, width: int = WIDTH) -> None:
        self.file, self.max_epochs, self.width = file, max_epochs, width
        self.layout: Layout | None = None

    def row(self, row: Row) -> None:
        """Show a finished epoch."""
        if self.layout is None:
            self.layout = make_layout(row, width=self.width, max_epochs=self.max_epochs)
            self.note(self.layout.header())
        self.note(self.layout.line(row))

    def progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        parts = progress_parts(progress)
        parts.pop("percent", None)
        self.note("  ".join(parts.values()))

    def note(self, text: str) -> None:
        """Show a line of text."""
        encoding = getattr(self.file, "encoding", None) or "utf-8"
        self.file.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Nothing to tidy up."""
