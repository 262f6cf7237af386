from __future__ import annotations

import copy
import math
import signal
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from mlkit.data import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Batch
from mlkit.engine import checkpoint
from mlkit.engine.ema import Averaging
from mlkit.engine.fit import fit, planned_steps
from mlkit.engine.hooks import Hook
from mlkit.engine.speed import Speed
from mlkit.engine.state import TrainState
from mlkit.engine.stopping import EarlyStopping
from mlkit.errors import CheckpointError, ConfigError, DataError, NonFiniteLossError


def _xy(count: int = 120, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def _bundle() -> DataBundle:
    x, y = _xy()
    return from_tensors(x, y, test=_xy(40, seed=1))


def _model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def _digest(model: nn.Module) -> str:
    return checkpoint.digest(model.state_dict())


class Watcher(Hook):
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.error: BaseException | None = None
        self.metrics: dict[str, Any] = {}

    def on_fit_start(self, state: TrainState) -> None:
        self.seen.append("start")

    def on_evaluation(self, state: TrainState, split: str, metrics: Mapping[str, Any]) -> None:
        self.seen.append(split)

    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        self.seen.append("end")
        self.error, self.metrics = error, dict(state.metrics)


class StopAt(Hook):
    """Raises, signals or stops after a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        if state.step == self.step:
            self.action(state)


def test_whatever_form_the_data_have_the_first_epoch_trains_on_the_same_numbers() -> None:
    x, y = _xy()
    loader = DataLoader(TensorDataset(x, y), batch_size=32)

    class Listed(Dataset[Any]):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return x[index], y[index]

    losses = {}
    forms: dict[str, Any] = {
        "tensors": (x, y),
        "arrays": (x.numpy(), y.numpy()),
        "lists": (x.tolist(), y.tolist()),
        "tensor data set": TensorDataset(x, y),
        "loader": loader,
        "data set": Listed(),
    }
    for name, data in forms.items():
        result = fit(_model(), data, max_epochs=1, device="cpu")
        losses[name] = result.metrics["train"]["loss"].value
        assert result.state.step == 4
    assert losses["tensors"] == losses["arrays"] == losses["lists"] == losses["tensor data set"]
    assert all(math.isfinite(value) for value in losses.values())


def test_a_bundle_gives_every_split_with_intervals_and_the_test_part_only_at_the_end() -> None:
    watcher = Watcher()
    result = fit(_model(), _bundle(), max_epochs=2, hooks=[watcher], device="cpu")
    assert watcher.seen == ["start", "train", "val", "train", "val", "end"]
    assert list(result.metrics) == ["train", "val", "test"]
    assert list(watcher.metrics) == ["train", "val", "test"]
    for metrics in result.metrics.values():
        accuracy = metrics["accuracy"]
        assert accuracy.low is not None
        assert accuracy.high is not None
        assert accuracy.low <= accuracy.value <= accuracy.high
    finals = [line["split"] for line in result.history if line.get("final")]
    assert finals == ["train", "val", "test"]
    assert result.to_dict()["splits"]["test"]["accuracy"]["count"] == 40


def test_a_loader_with_val_is_not_read_once_more_each_epoch() -> None:
    reads = 0
    x, y = _xy()

    class Counting(Dataset[Any]):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            nonlocal reads
            reads += 1
            return x[index], y[index]

    fit(_model(), DataLoader(Counting(), batch_size=40), val=_xy(30, seed=1), max_epochs=3, device="cpu")
    infer_task, epochs, final = 1, 3, 1
    assert reads <= (infer_task + epochs + final) * len(x) + 40


def test_the_process_wide_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    fit(_model(), _xy(), max_epochs=1, device="cpu", speed="auto")
    model = _model()
    torch.set_rng_state(before)
    fit(model, _xy(), max_epochs=1, device="cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_order() -> None:
    first, again, other = (_model() for _ in range(3))
    fit(first, _xy(), max_epochs=2, device="cpu", seed=3)
    torch.manual_seed(99)
    fit(again, _xy(), max_epochs=2, device="cpu", seed=3)
    fit(other, _xy(), max_epochs=2, device="cpu", seed=4)
    assert _digest(first) == _digest(again) != _digest(other)


@pytest.mark.parametrize("stop", [1, 4, 5, 9])
@pytest.mark.parametrize("averaged", [False, True])
def test_stopped_at_any_step_and_resumed_gives_the_same_bits(tmp_path: Path, stop: int, averaged: bool) -> None:
    def hooks() -> list[Hook]:
        return [Averaging(0.9)] if averaged else []

    def run(hooks: list[Hook], *, folder: Path | None, resume: bool = False) -> TrainState:
        schedule = "cosine"
        model = _model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        arguments: dict[str, Any] = {"max_epochs": 3, "clip_norm": 0.5, "accumulate": 2, "batch_size": 16}
        result = fit(
            model,
            _bundle(),
            optimizer=optimizer,
            schedule=schedule,  # type: ignore[arg-type]
            hooks=hooks,
            device="cpu",
            folder=folder,
            resume=resume,
            **arguments,
        )
        return result.state

    whole = run(hooks(), folder=None)

    def stop_now(state: TrainState) -> None:
        state.stop_reason = "enough"

    cut = run([*hooks(), StopAt(stop, stop_now)], folder=tmp_path)
    assert cut.step == stop
    resumed = run(hooks(), folder=tmp_path, resume=True)
    assert resumed.step == whole.step
    assert _digest(resumed.model) == _digest(whole.model)
    assert _digest(resumed.eval_model) == _digest(whole.eval_model)
    assert checkpoint.digest(resumed.optimizer.state_dict()) == checkpoint.digest(whole.optimizer.state_dict())
    assert [line for line in resumed.history if not line.get("final")] == [
        line for line in whole.history if not line.get("final")
    ]


def test_the_recorded_speed_is_replayed_on_resume(tmp_path: Path) -> None:
    odd = Speed(threads=1, precision="bfloat16", reason="speed: by hand")
    first = fit(_model(), _bundle(), max_epochs=1, device="cpu", folder=tmp_path, speed=odd)
    assert first.speed == odd
    again = fit(_model(), _bundle(), max_epochs=2, device="cpu", folder=tmp_path, resume=True, speed="auto")
    assert again.speed.precision == "bfloat16"
    assert "as before the resume" in again.speed.reason


def test_final_metrics_are_of_float32_whatever_the_steps_were_made_in() -> None:
    data = _bundle()
    result = fit(_model(), data, max_epochs=1, device="cpu", speed=Speed(threads=1, precision="bfloat16"))
    model = result.model.eval()
    batch = data.test.gather(torch.arange(len(data.test)))  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        expected = F.cross_entropy(model(*batch.inputs), batch.targets).item()
    assert result.metrics["test"]["loss"].value == pytest.approx(expected, rel=1e-6)


def test_other_data_are_refused_on_resume(tmp_path: Path) -> None:
    fit(_model(), _bundle(), max_epochs=1, device="cpu", folder=tmp_path)
    x, y = _xy()
    x[0, 0] += 1.0
    with pytest.raises(CheckpointError, match="the data are not those of the run to resume"):
        fit(
            _model(), from_tensors(x, y, test=_xy(40, seed=1)), max_epochs=2, device="cpu", folder=tmp_path, resume=True
        )


def test_other_batches_are_refused_on_resume(tmp_path: Path) -> None:
    fit(_model(), _bundle(), max_epochs=1, device="cpu", folder=tmp_path, batch_size=32)
    with pytest.raises(CheckpointError, match="cut into other batches"):
        fit(_model(), _bundle(), max_epochs=2, device="cpu", folder=tmp_path, batch_size=16, resume=True)


def test_resume_without_a_folder_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="pass folder="):
        fit(_model(), _xy(), resume=True)


def test_a_damaged_newest_checkpoint_is_passed_over_and_said(tmp_path: Path) -> None:
    fit(_model(), _bundle(), max_epochs=2, device="cpu", folder=tmp_path)
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.warns(UserWarning, match="the newest checkpoint was passed over"):
        result = fit(_model(), _bundle(), max_epochs=3, device="cpu", folder=tmp_path, resume=True)
    whole = fit(_model(), _bundle(), max_epochs=3, device="cpu")
    assert _digest(result.model) == _digest(whole.model)


def test_an_error_between_steps_loses_nothing(tmp_path: Path) -> None:
    def fail(state: TrainState) -> None:
        raise OSError("the disk is gone")

    watcher = Watcher()
    with pytest.raises(OSError, match="the disk is gone"):
        fit(_model(), _bundle(), max_epochs=3, device="cpu", folder=tmp_path, hooks=[StopAt(6, fail), watcher])
    assert isinstance(watcher.error, OSError)
    content, _, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert content["state"]["step"] == 6
    resumed = fit(_model(), _bundle(), max_epochs=3, device="cpu", folder=tmp_path, resume=True)
    assert _digest(resumed.model) == _digest(fit(_model(), _bundle(), max_epochs=3, device="cpu").model)


def test_an_error_within_a_step_keeps_the_last_whole_state(tmp_path: Path) -> None:
    def failing(model: nn.Module, batch: Batch) -> Tensor:
        loss = F.cross_entropy(model(*batch.inputs), batch.targets)
        if counter.state is not None and counter.state.step == 5:
            raise ValueError("in the loss")
        return loss

    class Counter(Hook):
        state: TrainState | None = None

        def on_fit_start(self, state: TrainState) -> None:
            self.state = state

    counter = Counter()
    with pytest.raises(ValueError, match="in the loss"):
        fit(_model(), _bundle(), max_epochs=3, device="cpu", folder=tmp_path, step=failing, hooks=[counter])
    content, _, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert content["state"]["epoch"] == 1


def test_ctrl_c_finishes_the_step_and_saves(tmp_path: Path) -> None:
    result = fit(
        _model(),
        _bundle(),
        max_epochs=3,
        device="cpu",
        folder=tmp_path,
        hooks=[StopAt(4, lambda state: signal.raise_signal(signal.SIGINT))],
    )
    assert result.state.status == "interrupted"
    assert result.state.step == 4
    content, _, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert content["state"]["step"] == 4


def test_a_loss_that_is_not_finite_is_told_after_saving(tmp_path: Path) -> None:
    x, y = _xy()
    x[100, 2] = math.nan
    loader = DataLoader(TensorDataset(x, y), batch_size=10)
    model = nn.Linear(4, 2)
    with pytest.raises(NonFiniteLossError, match="the inputs or targets of this batch are non-finite"):
        fit(model, loader, max_epochs=1, device="cpu", folder=tmp_path)
    content, _, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert content["state"]["step"] == 10
    assert all(torch.isfinite(value).all() for value in content["model"].values())


def test_the_best_weights_are_put_back_where_that_is_asked_for(tmp_path: Path) -> None:
    def spoil(state: TrainState) -> None:
        with torch.no_grad():
            state.model.get_parameter("4.bias").copy_(torch.tensor([30.0, -30.0]))

    x, y = _xy()
    bundle = from_tensors(x, y)
    steps = math.ceil(len(bundle.train) / 32)
    result = fit(
        _model(),
        bundle,
        max_epochs=3,
        device="cpu",
        folder=tmp_path,
        restore_best=True,
        hooks=[StopAt(2 * steps + 1, spoil)],
    )
    assert result.state.best_step in (steps, 2 * steps)
    assert result.metrics["val"]["loss"].value == pytest.approx(result.state.best, rel=1e-6)  # type: ignore[arg-type]
    best = checkpoint.load(tmp_path / "checkpoints" / "best.pt")
    assert checkpoint.digest(best["model"]) == _digest(result.model)


def test_a_run_that_stopped_early_stays_stopped_when_resumed(tmp_path: Path) -> None:
    def run(*, resume: bool) -> TrainState:
        patience = EarlyStopping(1, monitor="val/loss", min_delta=100.0)
        arguments: dict[str, Any] = {"max_epochs": 9, "device": "cpu", "folder": tmp_path, "resume": resume}
        return fit(_model(), _bundle(), hooks=[patience], **arguments).state

    first, again = run(resume=False), run(resume=True)
    assert first.status == again.status == "stopped"
    assert first.step == again.step
    assert first.stop_reason == again.stop_reason


def test_a_split_that_is_not_evaluated_cannot_be_watched() -> None:
    with pytest.raises(ConfigError, match="a split that is not evaluated after each epoch"):
        fit(_model(), _xy(), monitor="val/loss", device="cpu")


def test_an_own_loss_and_an_own_step_decide() -> None:
    def smooth(output: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(output[:, 0], target)

    x, _ = _xy()
    y = x.sum(1)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    result = fit(model, (x, y), loss_fn=smooth, optimizer=optimizer, max_epochs=60, device="cpu")
    assert result.metrics["train"]["loss"].value < 1e-3 * smooth(torch.zeros(120, 1), y).item()

    def step(model: nn.Module, batch: Batch) -> Tensor:
        return (model(*batch.inputs) - 7.0).square().mean()

    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fit(model, (x, y), step=step, optimizer=optimizer, max_epochs=20, device="cpu")
    assert model(x).mean().item() == pytest.approx(7.0, abs=0.1)


def test_empty_data_are_refused() -> None:
    with pytest.raises(DataError):
        fit(_model(), (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), device="cpu")


def test_batches_of_mappings_are_passed_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, features: Tensor, weight: Tensor) -> Tensor:
            return self.layer(features) * weight[:, None]  # type: ignore[no-any-return]

    x, y = _xy()
    items = [{"features": x[i], "weight": torch.tensor(1.0), "label": y[i]} for i in range(len(x))]
    loader: DataLoader[Any] = DataLoader(items, batch_size=30)  # type: ignore[arg-type]
    assert fit(Named(), loader, max_epochs=1, device="cpu").state.step == 4


def test_nothing_the_user_gave_is_changed_but_the_model() -> None:
    x, y = _xy()
    kept = x.clone(), y.clone()
    bundle = from_tensors(x, y)
    before = copy.deepcopy(dict(bundle.train.tensors()))
    fit(_model(), bundle, max_epochs=1, device="cpu", speed="auto")
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])
    assert all(torch.equal(value, before[name]) for name, value in bundle.train.tensors().items())


def test_planned_steps_are_the_smaller_of_the_two() -> None:
    assert planned_steps(10, max_epochs=None) is None
    assert planned_steps(10, max_epochs=3, max_steps=7) == 7
    assert planned_steps(10, max_epochs=None, max_steps=7) == 7


def test_numbers_of_numpy_survive_a_checkpoint(tmp_path: Path) -> None:
    class Keeps(Hook):
        def on_step_end(self, state: TrainState, loss: Tensor) -> None:
            state.extra["mine"] = {"value": float(np.float64(0.5)), "tensor": torch.ones(2)}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(_model(), _bundle(), max_epochs=1, device="cpu", folder=tmp_path, hooks=[Keeps()])
    content, _, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert content["state"]["extra"]["mine"]["value"] == 0.5
