from __future__ import annotations

from pathlib import Path

import pytest

from mlkit.config import run_folder
from mlkit.config.resume import CHANGEABLE, resumed_config
from mlkit.config.schema import Config
from mlkit.config.settings import settings_of
from mlkit.runtime.nested import dotted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder.claim(tmp_path / "run", Config.from_dict({"model": "mlp", "optimizer": {"lr": 0.5}, "seed": 3}))


def test_what_was_set_stays_and_what_is_changed_changes(folder: Path) -> None:
    config, problems = resumed_config(folder, {"trainer.max_epochs": 99, "tracking.console": False})
    assert not problems
    assert (config.optimizer.lr, config.seed, config.model.name) == (0.5, 3, "mlp")
    assert config.trainer.max_epochs == 99
    assert config.tracking.console is False
    assert config.resume == str(folder)


def test_the_same_value_again_is_no_change(folder: Path) -> None:
    assert not resumed_config(folder, {"optimizer.lr": 0.5, "seed": 3})[1]


def test_every_forbidden_change_is_told(folder: Path) -> None:
    _, problems = resumed_config(folder, {"optimizer.lr": 0.1, "trainer.batch_size": 7, "seed": 4})
    assert [problem.what.split()[0] for problem in problems] == ["optimizer.lr", "trainer.batch_size", "seed"]


def test_a_changed_value_is_checked_like_any_other(folder: Path) -> None:
    _, problems = resumed_config(folder, {"trainer.max_epochs": -1, "tracking.consle": True})
    assert len(problems) == 2


def test_what_may_be_changed_exists() -> None:
    known = set(dotted(Config().to_dict()))
    for name in CHANGEABLE:
        assert name in known or name in settings_of(Config), name
