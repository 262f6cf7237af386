"""Progress in a notebook: one output that is updated in place and leaves the finished table.

Not here: what it says (`mlkit.tracking.console_rows`).
"""

from __future__ import annotations

import html
import sys
from typing import Any

from mlkit.tracking.console_rows import Layout, Progress, Row, make_layout, progress_parts

HEAD, TAIL = 3, 27  # rows shown of a long run: the whole table is sent with every update
# Only the page's own colours, lightened, so that it reads on light and dark themes alike.
CELL = "text-align:right;padding:2px 10px;border:none;background:none"


class NotebookDisplay:
    """A table and a bar in HTML, with the same as text for viewers that have none.

    Args:
        max_epochs: planned epochs.
    """

    interval = 0.5  # seconds; every update is a message with the whole table

    def __init__(self, *, max_epochs: int | None) -> None:
        self.max_epochs = max_epochs
        self.layout: Layout | None = None
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self.now: Progress | None = None
        self.handle: Any = None

    def row(self, row: Row) -> None:
        """Show a finished epoch."""
        if self.layout is None:
            self.layout = make_layout(row, width=110, max_epochs=self.max_epochs)
        self.rows.append(row)

    def progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        self.now = progress
        self._show()

    def note(self, text: str) -> None:
        """Show a line of text below the table."""
        self.notes.append(text)

    def close(self) -> None:
        """Take the bar away; table and notes stay."""
        self.now = None
        self._show()

    def _show(self) -> None:
        from IPython import display

        bundle = {"text/html": self.html(), "text/plain": self.text()}
        if self.handle is None:
            self.handle = display.display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(bundle, raw=True)

    def shown_rows(self) -> list[Row | None]:
        """The rows to show; None stands for those left out."""
        if len(self.rows) <= HEAD + TAIL:
            return list(self.rows)
        return [*self.rows[:HEAD], None, *self.rows[-TAIL:]]

    def text(self) -> str:
        """Everything as plain text."""
        lines = [] if self.layout is None else [self.layout.header()]
        lines += ["..." if row is None or self.layout is None else self.layout.line(row) for row in self.shown_rows()]
        if self.now is not None:
            lines.append("  ".join(progress_parts(self.now).values()))
        return "\n".join([*lines, *self.notes])

    def html(self) -> str:
        """Everything as HTML."""
        parts = [self._table()] if self.layout is not None else []
        if self.now is not None:
            parts.append(_bar(self.now))
        parts += [f'<div style="opacity:0.75">{html.escape(note)}</div>' for note in self.notes]
        return f'<div style="font-variant-numeric:tabular-nums;max-width:60em">{"".join(parts)}</div>'

    def _table(self) -> str:
        assert self.layout is not None
        titles = "".join(
            f'<th style="{CELL};border-bottom:1px solid currentColor">{html.escape(column.title)}</th>'
            for column in self.layout.columns
        )
        body = []
        for row in self.shown_rows():
            if row is None:
                left_out = len(self.rows) - HEAD - TAIL
                text = f"{left_out} more epoch{'s' if left_out > 1 else ''}"
                body.append(f'<tr><td style="{CELL};opacity:0.6" colspan="{len(self.layout.columns)}">{text}</td></tr>')
                continue
            weight = ";font-weight:bold" if row.best else ""
            cells = "".join(f'<td style="{CELL}{weight}">{html.escape(text)}</td>' for text in self.layout.cells(row))
            mark = f'<td style="{CELL}{weight};text-align:left;padding:0">{"*" if row.best else ""}</td>'
            body.append(f"<tr>{cells}{mark}</tr>")
        return f'<table style="border-collapse:collapse"><tr>{titles}</tr>{"".join(body)}</table>'


def _bar(progress: Progress) -> str:
    parts = html.escape("  ".join(text.strip() for text in progress_parts(progress).values())).replace("  ", " &nbsp; ")
    if progress.fraction is None:
        return f"<div>{parts}</div>"
    track = (
        '<div style="position:relative;height:6px;margin:6px 0;border-radius:3px;overflow:hidden">'
        '<div style="position:absolute;inset:0;background:currentColor;opacity:0.2"></div>'
        '<div style="position:absolute;inset:0;background:currentColor;opacity:0.7;'
        f'width:{100 * progress.fraction:.1f}%"></div></div>'
    )
    return f"<div>{track}{parts}</div>"


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel; imports nothing to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.has_trait("kernel")
