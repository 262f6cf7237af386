from __future__ import annotations

from xml.etree import ElementTree

import pytest

from mlkit.tracking.console_notebook import HEAD, TAIL, NotebookDisplay, in_notebook
from mlkit.tracking.console_rows import Progress, Row

CODE = """
import torch
from mlkit.engine.fit import fit
from mlkit.tracking import Console

x = torch.randn(200, 4)
result = fit(torch.nn.Linear(4, 2), (x[50:], (x[50:, 0] > 0).long()), val=(x[:50], (x[:50, 0] > 0).long()),
             max_epochs=3, hooks=[Console()], device="cpu")
"""


def _display(epochs: int) -> NotebookDisplay:
    display = NotebookDisplay(max_epochs=epochs)
    for epoch in range(1, epochs + 1):
        display.row(Row(epoch, epoch * 5, {"train/loss": 1 / epoch, "val/loss": 2 / epoch}, 1.0, best=epoch == epochs))
    return display


def test_a_test_does_not_run_in_a_notebook() -> None:
    assert not in_notebook()


def test_the_html_is_well_formed_and_holds_every_row_and_the_bar() -> None:
    display = _display(3)
    display.now = Progress(2, 3, 7, 15, fraction=7 / 15, loss=0.5)
    root = ElementTree.fromstring(display.html().replace("&nbsp;", " "))
    table = root.find("table")
    assert table is not None
    assert len(table.findall("tr")) == 4
    assert "width:46.7%" in display.html()
    display.now = None
    assert "width:46.7%" not in display.html()


def test_names_cannot_break_the_html() -> None:
    display = NotebookDisplay(max_epochs=1)
    display.row(Row(1, 5, {"val/<script>": 1.0}, 1.0))
    display.note("<b>note & more</b>")
    ElementTree.fromstring(display.html())
    assert "<script>" not in display.html()


def test_of_a_long_run_the_first_and_the_last_rows_are_shown() -> None:
    display = _display(1000)
    assert [row.epoch if row else None for row in display.shown_rows()] == [
        *range(1, HEAD + 1),
        None,
        *range(1001 - TAIL, 1001),
    ]
    assert f"{1000 - HEAD - TAIL} more epochs" in display.html()
    assert len(display.html()) < 30_000


def test_what_no_html_shows_is_there_as_text() -> None:
    lines = _display(2).text().splitlines()
    assert lines[0].split() == ["epoch", "train", "loss", "val", "loss", "time"]
    assert lines[2].split()[:3] == ["2/2", "0.5000", "1.0000"]


@pytest.mark.slow
def test_a_real_kernel_leaves_one_output_with_the_finished_table() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data"]
    html = outputs[0].data["text/html"]
    assert html.count("<tr>") == 4
    assert "completed after 3 epochs" in html
    assert "left" not in html.replace("text-align:left", "")
