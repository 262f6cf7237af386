from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mlkit.engine.fit import FitResult
from mlkit.engine.state import TrainState
from mlkit.tracking import Console
from mlkit.tracking.console import ending, make_display
from mlkit.tracking.console_notebook import NotebookDisplay
from mlkit.tracking.console_plain import PlainDisplay
from mlkit.tracking.console_rows import Progress, Row
from mlkit.tracking.console_terminal import TerminalDisplay

pty = pytest.importorskip("pty", reason="pseudo terminals exist on Unix only")
Runner = Callable[..., FitResult]
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[349][0-7]|[34]8;[\d;]+)(?:;\d+)*m")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns, whatever the tests run in."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


@contextmanager
def _terminal() -> Iterator[SimpleNamespace]:
    """A pseudo terminal; ``text`` holds what was written once the block is left."""
    master, slave = pty.openpty()
    seen = SimpleNamespace(file=os.fdopen(slave, "w", encoding="utf-8"), text="")
    parts: list[bytes] = []

    def read() -> None:
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other side is closed
                return
            if not part:
                return
            parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        seen.file.close()
        reader.join()
        os.close(master)
        seen.text = b"".join(parts).decode()


def _visible(text: str) -> list[str]:
    """Lines without control sequences; a line that was drawn over counts as several."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))


def test_a_file_gets_plain_lines_only(run: Runner, tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w") as file:
        run([Console(file=file)], epochs=3)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert re.findall(r"[^\x20-\x7e]", "".join(lines)) == []
    titles = ["epoch", "train loss", "val loss", "train accuracy", "val accuracy", "val f1", "val auc", "time"]
    assert re.split(r" {2,}", lines[0]) == titles
    assert [line.split()[0] for line in lines[1:4]] == ["1/3", "2/3", "3/3"]
    assert {len(line.removesuffix(" *")) for line in lines[:4]} == {len(lines[0])}
    assert lines[4].startswith("completed after 3 epochs, 15 steps, ")
    assert len(lines) == 5


def test_rows_hold_the_values_of_the_history_and_mark_the_best(run: Runner) -> None:
    file = io.StringIO()
    result = run([Console(file=file, style="plain")], epochs=4)
    rows = [line for line in file.getvalue().splitlines() if "/4 " in line]
    losses = [e["loss"] for e in result.history if e["split"] == "val" and "final" not in e]
    assert [float(row.split()[2]) for row in rows] == [pytest.approx(loss, abs=5e-5) for loss in losses]
    assert [row.endswith(" *") for row in rows] == [loss == min(losses[: i + 1]) for i, loss in enumerate(losses)]


def test_a_long_epoch_in_a_file_has_a_line_every_minute(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PlainDisplay.interval == 60
    monkeypatch.setattr(PlainDisplay, "interval", 0.0)  # as if every step took a minute
    with (tmp_path / "log.txt").open("w") as file:
        run([Console(file=file)], epochs=1)
    text = (tmp_path / "log.txt").read_text()
    assert re.findall(r"[^\x20-\x7e\n]", text) == []
    assert re.search(r"^epoch 1/1  step 1/5  loss 0\.\d{4}  \S+/s  0:0\d left$", text, re.MULTILINE)


def test_a_terminal_gets_rows_and_a_bar_and_its_cursor_back(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TerminalDisplay, "interval", 0.0)
    with _terminal() as terminal:
        run([Console(file=terminal.file)], epochs=2)
    assert terminal.text.count(HIDE) == terminal.text.count(SHOW) == 1
    assert terminal.text.index(HIDE) < terminal.text.index(SHOW)
    lines = _visible(terminal.text)
    assert sum(line.startswith("epoch  train loss") for line in lines) == 1
    assert sum(bool(re.match(r"  [12]/2 ", line)) for line in lines) == 2
    assert sum("━" in line and "loss" in line for line in lines) >= 10


@pytest.mark.parametrize("columns", [20, 40, 60, 100, 200])
def test_no_line_is_wider_than_the_terminal(run: Runner, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(TerminalDisplay, "interval", 0.0)
    monkeypatch.setenv("COLUMNS", str(columns))
    with _terminal() as terminal:
        run([Console(file=terminal.file)], epochs=2)
    assert max(map(len, _visible(terminal.text))) <= columns
    assert any("━" in line for line in _visible(terminal.text))


def test_no_color_is_obeyed(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TerminalDisplay, "interval", 0.0)
    with _terminal() as coloured:
        run([Console(file=coloured.file)], epochs=1)
    monkeypatch.setenv("NO_COLOR", "1")
    with _terminal() as plain:
        run([Console(file=plain.file)], epochs=1)
    assert COLOUR.search(coloured.text)
    assert not COLOUR.search(plain.text)


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("CI", "true")])
def test_terminals_that_cannot_move_the_cursor_get_plain_lines(
    run: Runner, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with _terminal() as terminal:
        run([Console(file=terminal.file)], epochs=1)
    assert "\x1b" not in terminal.text
    assert "\r" not in terminal.text.replace("\r\n", "")  # the terminal itself makes \r\n of \n
    assert "completed after 1 epoch" in terminal.text


def test_the_display_suits_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with _terminal() as terminal:
        assert isinstance(make_display(terminal.file, "auto", max_epochs=1), TerminalDisplay)
    assert isinstance(make_display(io.StringIO(), "auto", max_epochs=1), PlainDisplay)
    assert isinstance(make_display(io.StringIO(), "notebook", max_epochs=1), NotebookDisplay)


def test_a_pipe_that_nobody_reads_any_more_does_not_end_the_run(run: Runner) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w")
    with pytest.warns(UserWarning, match=r"Console failed \(BrokenPipeError") as caught:
        result = run([Console(file=file)])
    assert (len(caught), result.state.status) == (1, "completed")
    with pytest.raises(BrokenPipeError):
        file.close()


@pytest.mark.parametrize("style", ["terminal", "plain"])
def test_a_stream_that_is_closed_does_not_end_the_run(run: Runner, monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    monkeypatch.setattr(TerminalDisplay, "interval", 0.0)
    file, stdout = io.StringIO(), sys.stdout

    class Closes(Console):
        def on_evaluation(self, state: TrainState, split: str, metrics: object) -> None:
            file.close()

    with pytest.warns(UserWarning, match="Closes failed") as caught:
        result = run([Closes(file=file, style=style)])  # type: ignore[arg-type]
    assert (len(caught), result.state.status) == (1, "completed")
    assert sys.stdout is stdout


def test_a_terminal_that_hangs_up_does_not_end_the_run(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TerminalDisplay, "interval", 0.0)
    master, slave = pty.openpty()
    file = os.fdopen(slave, "w")
    os.close(master)
    with pytest.warns(UserWarning, match="Console failed") as caught:
        result = run([Console(file=file)])
    assert (len(caught), result.state.status) == (1, "completed")
    with pytest.raises(OSError, match="Input/output error"):
        file.close()


def test_a_stream_that_knows_ascii_only_gets_ascii_only() -> None:
    raw = io.BytesIO()
    display = PlainDisplay(io.TextIOWrapper(raw, encoding="ascii"), max_epochs=1)
    display.row(Row(1, 5, {"val/loss": 0.5, "val/précision": 0.5}, 1.0))
    assert b"val pr?cision" in raw.getvalue()
    screen = TerminalDisplay(io.TextIOWrapper(raw, encoding="ascii"), max_epochs=1)
    screen.progress(Progress(1, 1, 1, 2, fraction=0.5))
    screen.close()
    assert b"###---" in raw.getvalue().replace(b"\x1b[32m", b"").replace(b"\x1b[0m\x1b[2m", b"")


def test_a_step_reads_nothing_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(1, 1)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    console = Console(file=io.StringIO())
    console.on_fit_start(state)
    unreadable = torch.empty((), device="meta")
    for _ in range(1000):
        console.on_step_end(state, unreadable)
    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    with pytest.warns(UserWarning, match="Console failed"):  # now it is time, and reading fails as it must
        console.on_step_end(state, unreadable)


def test_a_resumed_run_says_where_it_goes_on(run: Runner, tmp_path: Path) -> None:
    run(epochs=2, folder=tmp_path)
    file = io.StringIO()
    run([Console(file=file)], epochs=3, folder=tmp_path, resume=True)
    lines = file.getvalue().splitlines()
    assert lines[0] == "going on from epoch 2, step 10"
    assert [line.split()[0] for line in lines[1:3]] == ["epoch", "3/3"]


def test_the_ending_says_how_and_why() -> None:
    model = nn.Linear(1, 1)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1), step=1, epoch=1, seconds=3.21)
    state.status = "completed"
    assert ending(state, None) == "completed after 1 epoch, 1 step, 3.2 s"
    state.history = [{"step": 1, "epoch": 1, "split": "val", "loss": 1.0}]
    state.best_step, state.step, state.epoch, state.seconds = 1, 2500, 3, 5400.0
    state.status, state.stop_reason = "stopped", "the time limit of 1 h is reached"
    assert ending(state, None) == (
        "stopped after 3 epochs, 2,500 steps, 1 h 30 min; best (*) at epoch 1\nthe time limit of 1 h is reached"
    )
    state.status = "failed"
    assert ending(state, ValueError("long text")).endswith("\nValueError")


PROGRAM = """
import time, torch
from mlkit.engine.fit import fit
from mlkit.engine.hooks import Hook
from mlkit.tracking import Console

class Slow(Hook):
    def on_step_start(self, state, batch):
        time.sleep(0.01)

x = torch.randn(200, 4)
fit(torch.nn.Linear(4, 2), (x, (x[:, 0] > 0).long()), max_epochs=10000, hooks=[Console(), Slow()], device="cpu")
"""


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_leaves_a_terminal_as_it_was(presses: int) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    text, sent, deadline = "", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            text += os.read(master, 65536).decode(errors="replace")
        except OSError:
            break
        if text.count("━") and sent < presses:
            for _ in range(presses):
                process.send_signal(signal.SIGINT)
                sent += 1
    process.wait(timeout=10)
    os.close(master)
    assert text.count(HIDE) == 1
    assert text.rindex(SHOW) > text.rindex(HIDE)
    assert "interrupted after" in text
