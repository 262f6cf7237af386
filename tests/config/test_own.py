"""What is typed to have a run's settings again gives these settings again."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from mlkit.config.own import own_words, typed
from mlkit.config.schema import Config

SETTINGS = [
    [],
    ["model=mlp", "model.hidden=[16]", "data=wine", "optimizer.lr=1e-2", "seed=3"],
    ["experiment=digits_lenet"],
    ["optimizer=sgd", "schedule=step", "schedule.step_every=100", "trainer=quick", "tracking=none"],
    ["data.augment=[shift(1),rotate]", "trainer.target='val/accuracy>=0.99'", "data.classes=[0,'1']"],
    ["optimizer=adamw", "optimizer.betas=[0.8,0.9]", "trainer.max_epochs=null", "trainer.max_steps=50", "name=mine"],
    ["model=lstm", "data=adding", "trainer.max_time=10m", "trainer.metrics=[rmse]", "trainer.ema_decay=0.99"],
]


def kept(config: Config) -> dict[str, object]:
    return {key: value for key, value in config.to_dict().items() if key not in ("name", "experiment")}


@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: " ".join(words)[:40])
def test_the_words_give_the_settings_again(words: list[str]) -> None:
    config = Config.from_overrides(words)
    assert kept(Config.from_overrides(own_words(config))) == kept(config)


def test_only_what_differs_is_written() -> None:
    assert own_words(Config.from_overrides(["trainer.batch_size=32"])) == ["model=auto", "data=digits"]


def test_a_table_of_the_user_in_a_folder_with_a_space(tmp_path: Path) -> None:
    file = tmp_path / "my table.csv"
    file.write_text("a,b c,price\n" + "".join(f"{n},{n % 3},{n * 2}\n" for n in range(20)))
    values = {"name": "csv", "path": str(file), "target": "price", "drop": ["b c"]}
    config = Config.from_dict({"data": values, "model": "mlp"})
    assert kept(Config.from_overrides(own_words(config))) == kept(config)


@pytest.mark.parametrize(
    "value", ["a b", "it's", 'say "so"', "null", "1e3", "0x1", "a,b", "[x]", "", "ä=1", "x\\y", 'x\\"', "x\\"]
)
def test_a_text_comes_back_through_shell_and_command_line(value: str) -> None:
    word = shlex.quote(f"tracking.mlflow_experiment={typed(value)}")
    argument = subprocess.run(["sh", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True).stdout
    assert Config.from_overrides([argument]).tracking.mlflow_experiment == value


def test_plugins_come_first() -> None:
    assert own_words(Config(), plugins=["json"])[0] == "plugins=[json]"
