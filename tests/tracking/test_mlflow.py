from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlkit.engine.fit import FitResult
from mlkit.engine.hooks import Hook
from mlkit.engine.state import TrainState
from mlkit.tracking import MLflow
from mlkit.tracking.mlflow import store

pytest.importorskip("mlflow", reason='MLflow is not installed: pip install "mlkit-torch[mlflow]"')

# The client's own use of SQLAlchemy; our hook keeps these to itself, the tests read with the bare client.
pytestmark = pytest.mark.filterwarnings("ignore")
Runner = Callable[..., FitResult]


def _client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store(uri)[0])


def _runs(uri: str, experiment: str = "mlkit") -> list[Any]:
    client = _client(uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def _curve(uri: str, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in _client(uri).get_metric_history(run_id, name)]


def _expected(result: FitResult, split: str, metric: str) -> list[tuple[int, float]]:
    return [(e["step"], e[metric]) for e in result.history if e["split"] == split and "final" not in e]


def _uri(kind: str, folder: Path) -> str:
    return str(folder / "runs") if kind == "folder" else f"sqlite:///{folder}/runs.db"


@pytest.mark.parametrize("kind", ["folder", "sqlite"])
def test_a_run_is_read_back_with_the_real_client(run: Runner, tmp_path: Path, kind: str) -> None:
    uri = _uri(kind, tmp_path)
    notes = tmp_path / "notes.txt"
    notes.write_text("kept")
    result = run(
        [
            MLflow(
                uri,
                "digits",
                run_name="first",
                params={"optimizer": {"lr": 3e-4}},
                tags={"team": "a"},
                folder=tmp_path,
                artifacts=[notes] if kind == "folder" else [],
            )
        ]
    )
    (recorded,) = _runs(uri, "digits")
    run_id = recorded.info.run_id
    assert (recorded.info.status, recorded.info.run_name) == ("FINISHED", "first")
    assert recorded.data.params == {"optimizer.lr": "0.0003"}
    assert recorded.data.tags["team"] == "a"
    assert recorded.data.tags["run_folder"] == str(tmp_path)
    assert recorded.data.tags["data.fingerprint"] == result.state.about["fingerprint"]
    for split, metric in [("val", "accuracy"), ("train", "loss"), ("running", "loss")]:
        assert _curve(uri, run_id, f"{split}/{metric}") == _expected(result, split, metric)
    assert _curve(uri, run_id, "final/test/accuracy") == [(15, result.metrics["test"]["accuracy"].value)]
    assert [step for step, _ in _curve(uri, run_id, "learning_rate")] == [5, 10, 15]
    if kind == "folder":
        assert [item.path for item in _client(uri).list_artifacts(run_id)] == ["notes.txt"]
        assert list((tmp_path / "runs").rglob("notes.txt")) != []


def test_a_resume_goes_on_in_the_same_run_without_doubled_points(run: Runner, tmp_path: Path) -> None:
    uri = _uri("sqlite", tmp_path)
    run([MLflow(uri, params={"max_epochs": 2})], epochs=2, folder=tmp_path)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    run([MLflow(uri, params={"max_epochs": 3})], epochs=3, folder=tmp_path, resume=True)
    for name, content in kept.items():  # as a kill would leave it: points from beyond the checkpoint
        (tmp_path / "checkpoints" / name).write_bytes(content)
    result = run([MLflow(uri, params={"max_epochs": 4})], epochs=4, folder=tmp_path, resume=True)
    (recorded,) = _runs(uri)
    assert recorded.data.params == {"max_epochs": "2"}
    for split in ("running", "train", "val"):
        assert _curve(uri, recorded.info.run_id, f"{split}/loss") == _expected(result, split, "loss")


class Fails(Hook):
    def on_epoch_start(self, state: TrainState) -> None:
        if state.epoch == 1:
            raise ValueError("a mistake in another hook")


class Interrupts(Hook):
    def on_epoch_start(self, state: TrainState) -> None:
        if state.epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("hook", "error", "status"), [(Fails(), ValueError, "FAILED"), (Interrupts(), KeyboardInterrupt, "KILLED")]
)
def test_the_outcome_is_recorded(
    run: Runner, tmp_path: Path, hook: Hook, error: type[BaseException], status: str
) -> None:
    uri = _uri("sqlite", tmp_path)
    with pytest.raises(error):
        run([MLflow(uri), hook])
    (recorded,) = _runs(uri)
    assert recorded.info.status == status
    assert recorded.data.metrics.keys() >= {"val/loss"}


def test_a_store_that_comes_back_gets_what_it_missed(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    monkeypatch.setattr("mlkit.tracking.mlflow.PAUSE", 0.0)

    class Repair(Hook):
        def on_epoch_start(self, state: TrainState) -> None:
            if state.epoch == 2:
                (tmp_path / "runs").unlink()

    with pytest.warns(UserWarning, match="MLflow failed") as caught:
        result = run([MLflow(str(tmp_path / "runs")), Repair()], epochs=4)
    assert len(caught) == 1
    (recorded,) = _runs(str(tmp_path / "runs"))
    assert _curve(str(tmp_path / "runs"), recorded.info.run_id, "val/loss") == _expected(result, "val", "loss")
    assert recorded.info.status == "FINISHED"


def test_a_server_that_is_down_delays_a_run_only_a_little(run: Runner) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    before, started = dict(os.environ), time.monotonic()
    with pytest.warns(UserWarning, match="MLflow failed"):
        result = run([MLflow(f"http://127.0.0.1:{port}")])
    assert result.state.status == "completed"
    assert time.monotonic() - started < 60
    assert dict(os.environ) == before


def test_a_folder_of_older_runs_is_used_as_it_is(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri()).create_experiment("before")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    run([MLflow(str(tmp_path / "mlruns"), "before")])
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    (recorded,) = _runs(str(tmp_path / "mlruns"), "before")
    assert "val/loss" in recorded.data.metrics
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
