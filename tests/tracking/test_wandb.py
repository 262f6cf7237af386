from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlkit.engine.fit import FitResult
from mlkit.engine.hooks import Hook
from mlkit.engine.state import TrainState
from mlkit.tracking import WandB

wandb = pytest.importorskip("wandb", reason='W&B is not installed: pip install "mlkit-torch[wandb]"')

Runner = Callable[..., FitResult]
BLOCK = 32768


def _chunks(content: bytes) -> Iterator[bytes]:
    """Records of W&B's transaction log: LevelDB's log format behind a header of seven bytes."""
    position, parts = 7, b""
    while position + 7 <= len(content):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield parts
            parts = b""


def _records(folder: Path) -> list[Any]:
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # W&B's own process writes its last records when it ends
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    return [wandb_internal_pb2.Record.FromString(chunk) for file in files for chunk in _chunks(file.read_bytes())]


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _history(records: list[Any]) -> list[dict[str, Any]]:
    return [_items(record.history.item) for record in records if record.HasField("history")]


def test_an_offline_run_holds_settings_curves_and_final_metrics(run: Runner, tmp_path: Path) -> None:
    result = run([WandB("digits", "first", config={"optimizer": {"lr": 3e-4}}, folder=tmp_path)])
    records = _records(tmp_path)
    (about,) = (record.run for record in records if record.HasField("run"))
    assert (about.project, about.display_name) == ("digits", "first")
    assert json.loads(_items_json(about.config.update)["optimizer"]) == {"lr": 3e-4}
    lines = _history(records)
    assert [line["_step"] for line in lines] == [5, 10, 15]
    for split, metric in [("val", "accuracy"), ("train", "loss"), ("running", "loss")]:
        expected = [e[metric] for e in result.history if e["split"] == split and "final" not in e]
        assert [line[f"{split}/{metric}"] for line in lines] == expected
    assert [line["learning_rate"] for line in lines] == [3e-4] * 3
    summaries = [_items(record.summary.update) for record in records if record.HasField("summary")]
    final = {name: value for summary in summaries for name, value in summary.items()}
    assert final["final/test/accuracy"] == result.metrics["test"]["accuracy"].value
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [0]


def _items_json(items: Any) -> dict[str, str]:
    return {item.key: item.value_json for item in items}


def test_a_resumed_run_keeps_its_id_and_logs_each_step_once(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "tracked"
    run([WandB(folder=folder)], epochs=2, folder=tmp_path)
    result = run([WandB(folder=folder)], epochs=4, folder=tmp_path, resume=True)
    records = _records(folder)
    ids = {record.run.run_id for record in records if record.HasField("run")}
    assert ids == {result.state.extra["wandb:run_id"]}
    assert sorted(line["_step"] for line in _history(records)) == [5, 10, 15, 20]


def test_a_run_that_fails_is_recorded_as_failed(run: Runner, tmp_path: Path) -> None:
    class Fails(Hook):
        def on_epoch_start(self, state: TrainState) -> None:
            if state.epoch == 1:
                raise ValueError("a mistake in another hook")

    with pytest.raises(ValueError, match="another hook"):
        run([WandB(folder=tmp_path), Fails()])
    assert [record.exit.exit_code for record in _records(tmp_path) if record.HasField("exit")] == [1]


def test_a_run_that_the_person_has_open_is_left_alone(run: Runner, tmp_path: Path) -> None:
    with wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(console="off", silent=True)) as own:
        run([WandB(folder=tmp_path)], epochs=1)
        assert wandb.run is own
        own.log({"mine": math.pi})


def test_where_it_cannot_start_the_run_goes_on(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="WandB failed") as caught:
        result = run([WandB(folder=tmp_path / "file" / "folder")])
    assert (len(caught), result.state.status) == (1, "completed")
