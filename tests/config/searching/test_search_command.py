"""`python -m mlkit.search` as a whole: what it finds, writes and says; killed and started again; wrong input."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from mlkit.config.schema import Config
from mlkit.config.searching.command import main
from mlkit.config.searching.job import search
from mlkit.config.searching.settings import SearchSettings

QUICK = ["model=mlp", "data=wine", "trainer.max_epochs=4", "trainer.device=cpu"]
SPACE = {"optimizer.lr": "log(1e-4, 1e2, grow=False)", "model.width": "choice(8, 16)"}


def quick(folder: Path, **settings: object) -> dict[str, object]:
    chosen = SearchSettings(budget=8, finalists=2, seeds=2, backend="loop", space=SPACE, **settings)  # type: ignore[arg-type]
    search(Config.from_overrides(QUICK), chosen, folder=folder)
    found: dict[str, object] = json.loads((folder / "search.json").read_text())["result"]
    return found


def test_it_ends_in_the_command_that_trains_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"search.space.{name}={form}" for name, form in SPACE.items()]
    more = ["search.budget=8", "search.finalists=2", "search.seeds=2", f"hydra.run.dir={tmp_path / 'search'}"]
    assert main([*QUICK, "model.dropout=0.25", *words, *more]) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "python -m mlkit.train" in line)
    told = Config.from_overrides(shlex.split(line.split("mlkit.train ")[1]))
    assert (told.model.dropout, told.trainer.max_epochs, told.trainer.device) == (0.25, 4, "cpu")  # the run's own
    written = (tmp_path / "search" / "best.yaml").read_text()
    assert f"lr: {told.optimizer.lr!r}" in written
    assert printed.splitlines()[-1].startswith("run folder: ")


def test_the_same_seed_finds_the_same_and_it_is_good(tmp_path: Path) -> None:
    first, second = quick(tmp_path / "a"), quick(tmp_path / "b")
    assert [trial["score"] for trial in first["trials"]] == [trial["score"] for trial in second["trials"]]  # type: ignore[attr-defined, index]
    # ln 3 is what a model scores that knows nothing of the three wines.
    assert first["best"]["score"] < 0.5  # type: ignore[index]


def test_a_learning_rate_at_which_runs_diverge_is_a_result(tmp_path: Path) -> None:
    space = {"optimizer.lr": "choice(0.01, 1e30)"}
    settings = SearchSettings(budget=2, method="grid", finalists=1, halving=False, backend="loop", space=space)
    found = search(Config.from_overrides([*QUICK, "optimizer=sgd"]), settings, folder=tmp_path).result
    assert found.params == {"optimizer.lr": 0.01}
    assert "diverged" in str(next(trial for trial in found.trials if trial.params["optimizer.lr"] > 1).reason)  # type: ignore[operator]


def test_a_search_that_is_there_is_not_done_again(tmp_path: Path) -> None:
    first = quick(tmp_path / "a")
    settings = SearchSettings(budget=8, finalists=2, seeds=2, backend="loop", space=SPACE)
    again = search(Config.from_overrides(QUICK), settings, folder=tmp_path / "a")
    assert again.epochs == 0
    assert again.result.best.score == first["best"]["score"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search.budget=0"], "search.budget cannot have this value"),
        (["search.budget=0", "optimizer.lrr=1"], "2 mistakes"),
        (["trainer.early_stopping=3"], "trainer.early_stopping is not possible in a search"),
        (["search.metric=val/acuracy"], "did you mean 'accuracy'?"),
        (["--mutirun"], "unknown option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_exit_with_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, *words, f"hydra.run.dir={tmp_path / 'search'}"]) == 2
    assert message in capsys.readouterr().err


def test_the_folder_of_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("x")
    assert main([*QUICK, f"hydra.run.dir={tmp_path}"]) == 2
    assert "belongs to a run" in capsys.readouterr().err


def test_help_lists_every_setting_of_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"search.{name}" in printed for name in SearchSettings.__dataclass_fields__)
