from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor, nn

from mlkit.engine.fit import FitResult
from mlkit.engine.hooks import Hook
from mlkit.engine.state import TrainState
from mlkit.tracking import TensorBoard

Runner = Callable[..., FitResult]


class Losses(Hook):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self.values.append(float(loss))


def _read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE)
    events.Reload()
    return events


def _curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _read(folder).Scalars(tag)]


def test_the_curves_are_the_history_and_the_mean_of_the_steps(run: Runner, tmp_path: Path) -> None:
    losses = Losses()
    result = run([losses, TensorBoard(tmp_path)])
    for split, metric, tag in [("val", "loss", "val/loss"), ("train", "loss", "train/eval_loss")]:
        expected = [
            (entry["step"], pytest.approx(entry[metric]))
            for entry in result.history
            if entry["split"] == split and "final" not in entry
        ]
        assert _curve(tmp_path, tag) == expected
    means = [sum(losses.values[start : start + 5]) / 5 for start in (0, 5, 10)]
    assert _curve(tmp_path, "train/loss") == [(step, pytest.approx(means[i])) for i, step in enumerate((5, 10, 15))]
    assert _curve(tmp_path, "learning_rate") == [(step, pytest.approx(3e-4)) for step in (5, 10, 15)]
    assert all(rate > 0 for _, rate in _curve(tmp_path, "samples_per_second"))
    assert _curve(tmp_path, "final/test/accuracy") == [(15, pytest.approx(result.metrics["test"]["accuracy"].value))]


def test_a_long_epoch_has_a_point_every_fifty_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlkit.tracking.tensorboard.SECONDS_BETWEEN_READS", math.inf)  # however slow the machine is
    model = nn.Linear(1, 1)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    board = TensorBoard(tmp_path)
    board.on_fit_start(state)
    for step in range(1, 121):
        state.step = step
        board.on_step_end(state, torch.tensor(float(step)))
    board.on_fit_end(state, None)
    assert _curve(tmp_path, "train/loss") == [(50, 25.5), (100, 75.5), (120, 110.5)]


def test_settings_are_written_once_and_in_the_same_folder(run: Runner, tmp_path: Path) -> None:
    hparams = {"optimizer": {"lr": 0.1, "name": "adam"}, "model": "mlp"}
    board = tmp_path / "tensorboard"
    run([TensorBoard(board, hparams=hparams)], epochs=2, folder=tmp_path)
    run([TensorBoard(board, hparams=hparams)], epochs=3, folder=tmp_path, resume=True)
    assert [path for path in board.iterdir() if path.is_dir()] == []
    written = [
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for path in sorted(board.iterdir())
        for event in _events(path)
        for value in event.summary.value
        if value.tag == SESSION_START_INFO_TAG
    ]
    assert len(written) == 1
    values = written[0].session_start_info.hparams
    assert (values["optimizer.lr"].number_value, values["model"].string_value) == (0.1, "mlp")


def _events(path: Path) -> list[object]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return list(EventFileLoader(str(path)).Load())


def test_after_a_resume_no_point_is_doubled_or_lost(run: Runner, tmp_path: Path) -> None:
    board = tmp_path / "tensorboard"
    run([TensorBoard(board)], epochs=2, folder=tmp_path)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    run([TensorBoard(board)], epochs=4, folder=tmp_path, resume=True)
    for name, content in kept.items():  # as a kill would leave it: events from beyond the checkpoint
        (tmp_path / "checkpoints" / name).write_bytes(content)
    result = run([TensorBoard(board)], epochs=5, folder=tmp_path, resume=True)
    expected = [entry["step"] for entry in result.history if entry["split"] == "val" and "final" not in entry]
    assert expected == [5, 10, 15, 20, 25]
    for tag in ("val/loss", "train/eval_loss", "train/loss", "learning_rate"):
        assert [step for step, _ in _curve(board, tag)] == expected


def test_histograms_hold_every_weight_and_gradient_once_an_epoch(run: Runner, tmp_path: Path) -> None:
    result = run([TensorBoard(tmp_path, histograms=True)], epochs=2)
    events = _read(tmp_path)
    names = [name.replace(".", "/") for name, _ in result.model.named_parameters()]
    assert set(events.Tags()["histograms"]) == {f"{kind}/{n}" for kind in ("weights", "gradients") for n in names}
    last = events.Histograms("weights/0/weight")[-1]
    weights = next(iter(result.model.parameters())).detach()
    assert (last.step, last.histogram_value.num) == (10, weights.numel())
    assert last.histogram_value.sum == pytest.approx(float(weights.sum()), rel=1e-4)


def test_values_that_are_not_finite_do_not_disturb_it(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(math.nan)
        model.bias.fill_(math.inf)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    board = TensorBoard(tmp_path, histograms=True)
    board.on_fit_start(state)
    state.step, state.epoch = 1, 1
    state.history.append({"step": 1, "epoch": 1, "split": "val", "loss": math.nan})
    board.on_evaluation(state, "val", {})
    board.on_fit_end(state, None)
    assert math.isnan(_curve(tmp_path, "val/loss")[0][1])


def test_a_folder_that_cannot_be_made_is_told_once_and_the_run_goes_on(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="TensorBoard failed") as caught:
        result = run([TensorBoard(tmp_path / "file" / "folder")])
    assert (len(caught), result.state.status) == (1, "completed")
