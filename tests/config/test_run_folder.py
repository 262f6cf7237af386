from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from mlkit.config import run_folder
from mlkit.config.schema import Config
from mlkit.errors import CheckpointError, ConfigError


def _claim(folder: str) -> bool:
    try:
        run_folder.claim(folder, Config())
    except ConfigError:
        return False
    return True


@pytest.mark.slow
def test_of_many_that_claim_a_folder_at_once_one_gets_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        got = pool.map(_claim, [str(tmp_path / "run")] * 12)
    assert sum(got) == 1


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    held = run_folder.locked(tmp_path)
    with held, pytest.raises(CheckpointError, match="another process"), run_folder.locked(tmp_path):
        pass
    with run_folder.locked(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_settings_read_back_as_they_were(tmp_path: Path) -> None:
    config = Config.from_dict({"model": {"name": "mlp", "hidden": [3, 4]}, "optimizer": {"lr": 1e-4}, "name": "a b"})
    folder = run_folder.claim(tmp_path / "run", config)
    assert Config.from_dict(run_folder.read_config(folder)).to_dict() == config.to_dict()


@pytest.mark.parametrize("content", ["", "- a\n", "{", "!!python/object/apply:os.system ['true']\n"])
def test_settings_that_are_none_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError):
        run_folder.read_config(tmp_path)


def test_the_newest_run_nearby_is_offered(tmp_path: Path) -> None:
    run_folder.claim(tmp_path / "day" / "first", Config())
    with pytest.raises(ConfigError, match=r"did you mean resume=.*first"):
        run_folder.read_config(tmp_path / "day" / "frist")


def test_every_resume_adds_an_entry(tmp_path: Path) -> None:
    run_folder.write_run(tmp_path, {"command": ["a"]}, resumed=False)
    for number in (1, 2):
        run_folder.write_run(tmp_path, {"command": [str(number)]}, resumed=True)
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["command"] == ["a"]
    assert [entry["command"] for entry in written["resumes"]] == [["1"], ["2"]]


def test_tied_weights_are_exported_under_both_names(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    file = run_folder.export_weights(tmp_path, model, {"model": "tied"})
    with safe_open(file, "pt") as stored:
        assert stored.metadata() == {"model": "tied"}
        assert torch.equal(stored.get_tensor("0.weight"), stored.get_tensor("1.weight"))
