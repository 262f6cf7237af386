from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import mlkit
from mlkit.config.job import run
from mlkit.engine import checkpoint
from mlkit.engine.state import TrainState
from mlkit.errors import ConfigError, DataError, NonFiniteLossError

FAST = {
    "data": "blobs",
    "trainer": {"max_epochs": 2, "speed": "off", "device": "cpu"},
    "tracking": {"console": False, "tensorboard": False},
}


def test_from_python_as_from_the_command_line(tmp_path: Path) -> None:
    result = run(FAST, folder=tmp_path / "a")
    assert result.status == "completed"
    assert result.folder == tmp_path / "a"
    assert result.metrics["test"]["accuracy"].value > 0.5
    again = mlkit.run(mlkit.Config.from_dict(FAST), folder=tmp_path / "b")
    assert checkpoint.digest(again.model.state_dict()) == checkpoint.digest(result.model.state_dict())


def test_the_exported_weights_are_those_that_were_judged(tmp_path: Path) -> None:
    settings = {**FAST, "trainer": {**FAST["trainer"], "ema_decay": 0.5}}  # type: ignore[dict-item]
    result = run(settings, folder=tmp_path / "run")
    exported = load_file(tmp_path / "run" / "model.safetensors")
    averaged = result.fit.state.averaged
    assert averaged is not None
    assert set(exported) == set(averaged.state_dict())
    for name, value in averaged.state_dict().items():
        assert torch.equal(exported[name], value)
    assert not torch.equal(next(iter(exported.values())), next(iter(result.fit.model.state_dict().values())))


def test_resume_in_python_by_the_folder(tmp_path: Path) -> None:
    run(FAST, folder=tmp_path / "run")
    longer = run({"resume": str(tmp_path / "run"), "trainer": {"max_epochs": 4}})
    whole = run({**FAST, "trainer": {**FAST["trainer"], "max_epochs": 4}}, folder=tmp_path / "whole")  # type: ignore[dict-item]
    assert checkpoint.digest(longer.model.state_dict()) == checkpoint.digest(whole.model.state_dict())


def test_mistakes_are_told_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown model"):
        run({"model": "lenett"}, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_failed_run_says_in_its_folder_how_far_it_came(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError):
        run({**FAST, "optimizer": {"name": "sgd", "lr": 1e20}}, folder=tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["error"]["kind"] == "NonFiniteLossError"
    assert result["error"]["problems"][0]["todo"].startswith("lower the learning rate")
    assert result["seed"] == 0


def test_data_that_cannot_be_read_leave_a_result_too(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    data = {"name": "csv", "path": str(tmp_path / "table.csv"), "target": "c"}
    with pytest.raises(DataError) as caught:
        run({**FAST, "data": data}, folder=tmp_path / "run")
    assert caught.value.folder == tmp_path / "run"
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == 0


def test_own_hooks_are_called(tmp_path: Path) -> None:
    class Counts(mlkit.Hook):
        steps = 0

        def on_step_end(self, state: TrainState, loss: Tensor) -> None:
            self.steps += 1

    counts = Counts()
    result = run(FAST, folder=tmp_path / "run", hooks=[counts])
    assert counts.steps == result.fit.state.step > 0


def test_the_result_is_readable(tmp_path: Path) -> None:
    result = run(FAST, folder=tmp_path / "run")
    assert "completed" in str(result)
    assert "<table>" in result._repr_html_()
    assert isinstance(result.model, nn.Module)


def test_the_schedule_ends_with_the_run_when_a_left_over_example_joins_the_last_batch(tmp_path: Path) -> None:
    examples = len(mlkit.data.load("blobs").train)
    trainer = {**FAST["trainer"], "max_epochs": 4, "batch_size": examples - 1}  # type: ignore[dict-item]
    result = run(
        {**FAST, "trainer": trainer, "schedule": {"name": "linear"}, "optimizer": {"lr": 1.0}}, folder=tmp_path / "run"
    )
    assert result.fit.state.step == 4
    assert result.fit.state.learning_rate == pytest.approx(1 / 4)
