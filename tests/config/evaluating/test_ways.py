"""Every command of the advice is that of the run with what the action names changed, and runs as it is printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import mlkit
from mlkit.config.compose import composer
from mlkit.config.evaluating.command import main
from mlkit.config.evaluating.finished import Finished, finished_run
from mlkit.config.evaluating.settings import split_settings
from mlkit.config.evaluating.ways import WAYS, Ways
from mlkit.config.schema import Config
from mlkit.config.searching.executor import ALONE, refuse_what_runs_alone
from mlkit.config.searching.settings import split_overrides
from mlkit.config.searching.spaces import space_of
from mlkit.data.load import load
from mlkit.evaluate.actions import ACTIONS
from mlkit.models.auto import build
from mlkit.runtime.nested import dotted

EVERY = {action.name: action for actions in ACTIONS.values() for action in actions}
RUNS = {
    "mlp": ["data=wine", "model=mlp", "model.hidden=[16]", "model.dropout=0.1", "optimizer.lr=0.01", "seed=2"],
    "auto": ["data=digits", "data.limit=200", "trainer.early_stopping=3", "trainer.restore_best=true"],
    "resnet": ["data=digits", "model=resnet20", "schedule=step", "schedule.step_every=50", "data.val_fraction=0.3"],
    "series": ["data=adding", "model=lstm", "model.hidden=8", "trainer.max_epochs=null", "trainer.max_steps=9"],
    "regression": ["data=diabetes", "trainer.ema_decay=0.9", "optimizer.weight_decay=0.1", "tracking=none"],
}


def planned(name: str) -> Ways:
    """The ways of a run of which only settings and data are read."""
    config = Config.from_overrides(RUNS[name])
    data = load(config.data.name, seed=config.seed, limit=getattr(config.data, "limit", None))
    return Ways(Finished(Path("outputs/run"), config, data, build(config.model.name, data.task)))


def test_every_action_has_a_way_and_no_way_is_left_over() -> None:
    assert set(WAYS) == set(EVERY)


@pytest.mark.parametrize("name", list(RUNS))
def test_commands_keep_the_settings_of_the_run(name: str) -> None:
    ways = planned(name)
    before = dotted(ways.config.to_dict())
    commands = [found.call for action in EVERY.values() if (found := ways(action)) is not None and found.is_command]
    assert len(commands) >= 8
    with composer("train") as session:
        for command in commands:
            program, *words = shlex.split(command)[2:]
            if program == "mlkit.evaluate":
                assert split_settings(words)[2] == []
                continue
            search, words, problems = split_overrides(words[: words.index("-m")] if "-m" in words else words)
            composed, others = session.compose(words)
            assert not [*problems, *others], command
            assert composed is not None
            config = composed.config
            if program == "mlkit.search":
                refuse_what_runs_alone(config)
                named = config if ways.model == config.model.name else Config.from_dict({"model": ways.model})
                space_of(named, ways.model, search.space)
            after = dotted(config.to_dict())
            changed = {key for key in before.keys() & after.keys() if before[key] != after[key]} - {"name"}
            if program == "mlkit.search":
                changed -= {*ALONE, "trainer.max_epochs", *(key for key in changed if key.startswith("tracking."))}
            assert len(changed) <= 3, (command, changed)
            # The changed model is one that these data take.
            build(config.model.name, ways.data.task, **{k: v for k, v in vars(config.model).items() if k != "name"})


def call(ways: Ways, name: str) -> str | None:
    found = ways(EVERY[name])
    return None if found is None else found.call


def test_what_does_not_fit_a_run_is_left_out() -> None:
    mlp, resnet, regression = planned("mlp"), planned("resnet"), planned("regression")
    assert call(mlp, "augmentation") is None
    assert call(mlp, "another architecture") is None
    assert call(resnet, "a smaller model") is None
    assert call(resnet, "a larger validation set") is None
    assert call(resnet, "less regularisation") is None
    assert call(regression, "an average of the weights") is None
    assert call(planned("auto"), "early stopping") is None


def test_what_is_changed_is_the_run_s_own() -> None:
    assert "'model.hidden=[32]'" in str(call(planned("mlp"), "a bigger model"))
    assert {"model=lenet", "model.width=2"} < set(str(call(planned("auto"), "a bigger model")).split())
    assert "model=resnet32" in str(call(planned("resnet"), "a bigger model"))
    assert "data.limit=400" in str(call(planned("auto"), "more training data"))
    assert "run=outputs/run size=none curve=true" in str(call(planned("mlp"), "more training data"))
    assert "seed=3" in str(call(planned("mlp"), "pool val and test and split them anew"))
    assert "-m seed=2,3,4,5,6" in str(call(planned("mlp"), "an ensemble of 5 seeds"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ways") / "the run"
    words = ["data=digits", "model=mlp", "model.hidden=[4]", "trainer.max_epochs=4", "optimizer.lr=0.01"]
    fixed = ["trainer.speed=off", "trainer.device=cpu", "tracking=none"]
    mlkit.run(Config.from_overrides([*words, *fixed]), folder=folder)
    return folder


@pytest.mark.slow
def test_a_printed_command_runs_and_keeps_the_settings(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An underfitting run: its first action is a bigger model, whose command a shell takes as it stands there."""
    assert main([f"run={run}", "size=none", "human=0.0", f"folder={tmp_path / 'page'}"]) == 0
    printed = capsys.readouterr().out
    place = printed.index("1. a bigger model")
    command = next(line.strip() for line in printed[place:].splitlines() if line.strip().startswith("python -m"))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("outputs/*/*/config.yaml")
    before, after = (dotted(yaml.safe_load(file.read_text())) for file in (run / "config.yaml", made))
    assert {key for key in before if before[key] != after[key]} == {"model.hidden"}
    assert after["model.hidden"] == [8]


def test_plugins_are_named_again(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("model.safetensors", "run.json"):
        (folder / name).write_bytes((run / name).read_bytes())
    values = yaml.safe_load((run / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**values, "plugins": ["my_models"]}))
    found = Ways(finished_run(folder))
    for name in ("early stopping", "more training data", "tune"):
        assert str(call(found, name)).split()[3] == "'plugins=[my_models]'"
