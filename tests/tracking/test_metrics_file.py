from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mlkit.data.bundle import DataBundle
from mlkit.engine.fit import FitResult, fit
from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.runtime.files import plain
from mlkit.tracking import MetricsFile

Runner = Callable[..., FitResult]


def _lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Compare(Hook):
    """Stands behind a `MetricsFile` and compares the file with the history whenever something was evaluated."""

    def __init__(self, path: Path) -> None:
        self.path, self.times = path, 0

    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        assert _lines(self.path) == plain(state.history)
        self.times += 1


def test_the_file_equals_the_history_at_all_times(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.jsonl"
    compare = Compare(path)
    result = run([MetricsFile(path), compare])
    assert compare.times >= 6
    assert _lines(path) == plain(result.history)
    assert {entry["split"] for entry in result.history} == {"running", "train", "val", "test"}


def test_numbers_that_json_does_not_know_become_null(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    state.history = [{"step": 1, "epoch": 1, "split": "val", "loss": math.nan, "r2": -math.inf}]
    MetricsFile(tmp_path / "m.jsonl").on_fit_start(state)
    assert (tmp_path / "m.jsonl").read_text() == '{"step": 1, "epoch": 1, "split": "val", "loss": null, "r2": null}\n'


def test_a_resume_drops_lines_from_beyond_the_checkpoint_and_half_lines(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    run([MetricsFile(path)], epochs=1, folder=tmp_path)
    with path.open("a") as file:
        file.write('{"step": 999, "epoch": 99, "split": "val", "loss": 1.0}\n{"step": 1000, "ep')
    resumed = run([MetricsFile(path)], epochs=3, folder=tmp_path, resume=True)
    assert _lines(path) == plain(resumed.history)


def test_a_disk_that_is_full_for_a_while_costs_one_warning_and_no_line(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    path = folder / "metrics.jsonl"

    class Disk(Hook):
        """Puts a folder where the file was during the second epoch."""

        def on_epoch_start(self, state: TrainState) -> None:
            if state.epoch == 1:
                path.unlink()
                path.mkdir()
            if state.epoch == 2:
                path.rmdir()

    with pytest.warns(UserWarning, match="MetricsFile failed") as caught:
        result = run([MetricsFile(path), Disk()], epochs=4)
    assert len(caught) == 1
    assert result.state.status == "completed"
    assert _lines(path) == plain(result.history)


PROGRAM = """
import sys, time, torch
sys.path.insert(0, sys.argv[2])
from conftest import small_bundle
from mlkit.engine.fit import fit
from mlkit.engine.hooks import Hook
from mlkit.tracking import MetricsFile

class Slow(Hook):
    def on_step_start(self, state, batch):
        time.sleep(0.002)

torch.manual_seed(0)
hooks = [MetricsFile(sys.argv[1] + "/metrics.jsonl"), Slow()]
fit(torch.nn.Linear(4, 2), small_bundle(), max_epochs=100000, hooks=hooks, folder=sys.argv[1], device="cpu")
"""


@pytest.mark.slow
def test_after_kill_9_a_resume_continues_the_file_as_if_nothing_had_happened(
    bundle: DataBundle, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(Path(__file__).parent)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 60
        while not (path.exists() and path.read_text().count("\n") > 40) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    epochs_before = max(line["epoch"] for line in _lines(path) if isinstance(line, dict))
    torch.manual_seed(0)
    more = epochs_before + 3
    resumed = fit(
        nn.Linear(4, 2), bundle, max_epochs=more, hooks=[MetricsFile(path)], folder=tmp_path, resume=True, device="cpu"
    )
    torch.manual_seed(0)
    whole = fit(nn.Linear(4, 2), bundle, max_epochs=more, device="cpu")
    assert _lines(path) == plain(resumed.history) == plain(whole.history)
