from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from mlkit.config.command import main
from mlkit.engine import checkpoint

FAST = ["trainer.max_epochs=2", "trainer.speed=off", "trainer.device=cpu", "tracking=none"]
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _folder(output: Output) -> Path:
    line = output.readouterr().out.strip().splitlines()[-1]
    assert line.startswith("run folder: ")
    return Path(line.removeprefix("run folder: "))


def test_the_default_run_leaves_a_folder_that_explains_itself(capsys: Output) -> None:
    assert main(["trainer.max_epochs=2"]) == 0
    output = capsys.readouterr().out
    folder = Path(output.strip().splitlines()[-1].removeprefix("run folder: "))
    assert {entry.name.split(".out.")[0] for entry in folder.iterdir()} == {
        "checkpoints",
        "config.yaml",
        "curves.png",
        "events",
        "metrics.jsonl",
        "model.safetensors",
        "result.json",
        "run.json",
    }
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "completed"
    assert result["epochs"] == 2
    assert set(result["splits"]) == {"train", "val", "test"}
    accuracy = result["splits"]["test"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    run = json.loads((folder / "run.json").read_text())
    assert run["data"]["fingerprint"] == result["fingerprint"]
    assert run["model"] == "lenet"
    assert {"torch", "python", "mlkit"} <= set(run["versions"])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all({"step", "epoch", "split", "loss"} <= set(line) for line in lines)
    best = checkpoint.load(folder / "checkpoints" / "best.pt")
    assert "model" in best
    for word in ("data", "model", "speed", "train", "val", "test", "accuracy", "next"):
        assert word in output
    assert "\x1b" not in output


def test_hydra_run_dir_places_the_folder(capsys: Output) -> None:
    assert main([*FAST, "hydra.run.dir=here/it is"]) == 0
    assert _folder(capsys) == Path("here/it is")
    assert main([*FAST, "hydra.run.dir=here/it is"]) == 2
    assert "the run folder belongs to another run" in capsys.readouterr().err


def test_equal_settings_give_equal_weights_and_another_seed_does_not(capsys: Output) -> None:
    digests = []
    for seed in (1, 1, 2):
        assert main([*FAST, f"seed={seed}"]) == 0
        digests.append(checkpoint.digest(checkpoint.load(_folder(capsys) / "checkpoints" / "last.pt")["model"]))
    assert digests[0] == digests[1] != digests[2]


def test_resume_goes_on_to_the_same_bits(capsys: Output) -> None:
    planned = [*FAST, "schedule=linear", "trainer.max_steps=80", "trainer.max_epochs=9"]
    assert main(planned) == 0
    whole = _folder(capsys)
    assert main([*planned, "trainer.max_time=1e-9"]) == 0
    cut = _folder(capsys)
    assert json.loads((cut / "result.json").read_text())["steps"] == 1
    assert main([f"resume={cut}", "trainer.max_time=null"]) == 0
    capsys.readouterr()
    first, second = (checkpoint.load(folder / "checkpoints" / "last.pt") for folder in (whole, cut))
    for part in ("model", "optimizer"):
        assert checkpoint.digest(first[part]) == checkpoint.digest(second[part])
    assert json.loads((cut / "run.json").read_text())["resumes"][0]["from_step"] == 1
    metrics = [(folder / "metrics.jsonl").read_text() for folder in (whole, cut)]
    assert metrics[0] == metrics[1]


def test_a_resumed_run_may_go_on_for_longer_but_not_otherwise(capsys: Output) -> None:
    assert main(FAST) == 0
    folder = _folder(capsys)
    assert main([f"resume={folder}", "trainer.max_epochs=3"]) == 0
    assert json.loads((folder / "result.json").read_text())["epochs"] == 3
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 3
    capsys.readouterr()
    assert main([f"resume={folder}", "model=mlp", "optimizer.lr=1"]) == 2
    message = capsys.readouterr().err
    assert "optimizer.lr cannot be changed when a run is resumed" in message
    assert "model cannot be changed when a run is resumed" in message


def test_a_run_killed_before_its_first_checkpoint_starts_again(capsys: Output) -> None:
    assert main(FAST) == 0
    folder = _folder(capsys)
    for file in (folder / "checkpoints").iterdir():
        file.unlink()
    with pytest.warns(UserWarning, match="stopped before its first checkpoint"):
        assert main([f"resume={folder}"]) == 0


def test_multirun_runs_every_combination_and_a_failure_is_a_row(capsys: Output) -> None:
    assert main([*FAST, "-m", "model=lenet", "optimizer.lr=1e-3,1e10", "seed=0,1"]) == 1
    printed = capsys.readouterr()
    root = Path(printed.out.strip().splitlines()[-1].removeprefix("run folder: "))
    results = [json.loads((root / str(number) / "result.json").read_text()) for number in range(4)]
    assert [result["status"] for result in results] == ["completed", "completed", "failed", "failed"]
    assert "the loss became" in results[2]["error"]["message"]
    assert "the loss became" in printed.err
    table = printed.out.splitlines()
    assert sum("completed" in line for line in table) == 2
    assert sum(line.split()[:2] in (["2", "failed"], ["3", "failed"]) for line in table) == 2


def test_multirun_tells_mistakes_of_all_jobs_before_the_first(capsys: Output, tmp_path: Path) -> None:
    assert main(["-m", "model=lenet,lenett", "optimizer.lr=0.1,-1"]) == 2
    message = capsys.readouterr().err
    assert message.count("unknown model") == 1
    assert message.count("optimizer.lr cannot have this value") == 1
    assert not list(tmp_path.iterdir())


def test_help_shows_the_settings_of_what_is_chosen(capsys: Output) -> None:
    assert main(["model=lstm", "data=csv", "--help"]) == 0
    page = capsys.readouterr().out
    assert "model.bidirectional" in page
    assert "data.delimiter" in page
    assert "trainer.max_epochs=20" in page


def test_cfg_prints_what_would_run_and_reads_back(capsys: Output, tmp_path: Path) -> None:
    assert main(["--cfg", "job", "experiment=lenet_mnist", "optimizer.lr=0.5"]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["model"]["name"] == "lenet"
    assert values["data"]["name"] == "mnist"
    assert values["optimizer"]["lr"] == 0.5
    assert not list(tmp_path.iterdir())
    assert main(["--cfg", "job", "-p", "optimizer"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "adam"
    assert main(["--cfg", "job", "-p", "optimiser"]) == 2
    assert "did you mean 'optimizer'?" in capsys.readouterr().err


def test_own_choices_in_configs_of_the_working_directory(capsys: Output) -> None:
    Path("configs/optimizer").mkdir(parents=True)
    Path("configs/optimizer/hot.yaml").write_text("defaults: [/schema/optimizer@_here_]\nlr: 0.25\n")
    assert main(["--cfg", "job", "-p", "optimizer.lr", "optimizer=hot"]) == 0
    assert capsys.readouterr().out.strip().startswith("0.25")


def test_plugins_bring_models_that_resume_only_when_named_again(capsys: Output) -> None:
    Path("my_plugin.py").write_text(
        "import mlkit\nfrom torch import nn\n\n@mlkit.register\n"
        "def tiny_plugged(num_outputs: int, in_features: int, *, width: int = 4):\n"
        "    first, last = nn.Linear(in_features, width), nn.Linear(width, num_outputs)\n"
        "    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)\n"
    )
    arguments = ["plugins=[my_plugin]", "model=tiny_plugged", "model.width=6"]
    assert main([*FAST, *arguments]) == 0
    folder = _folder(capsys)
    assert json.loads((folder / "result.json").read_text())["parameters"] == 64 * 6 + 6 + 60 + 10
    assert main([*FAST, *arguments[:2], "model.widht=6"]) == 2
    assert "did you mean 'model.width'?" in capsys.readouterr().err
    code = f"import sys; from mlkit.config.command import main; sys.exit(main(['resume={folder}']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "plugins=[my_plugin]" in done.stderr
    assert main([f"resume={folder}", "plugins=[my_plugin]", "trainer.max_epochs=3"]) == 0


def test_a_file_cannot_bring_in_code(capsys: Output) -> None:
    Path("configs/experiment").mkdir(parents=True)
    Path("evil.py").write_text("raise SystemExit('imported')\n")
    Path("configs/experiment/trap.yaml").write_text("# @package _global_\nplugins: [evil]\n")
    assert main(["experiment=trap"]) == 2
    assert "no file may decide what is imported" in capsys.readouterr().err
    Path("configs/experiment/trap.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: os.system\n"
    )
    assert main(["experiment=trap"]) == 2
    assert "nothing from a file is executed" in capsys.readouterr().err


ENDLESS = ["trainer.max_epochs=100000", "trainer.device=cpu", "tracking.tensorboard=false", "hydra.run.dir=run"]


@contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mlkit.train", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or not path.read_text().strip():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_from_outside_saves_and_says_how_to_go_on(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    with _started(*ENDLESS) as process:
        _wait_for(tmp_path / "run" / "metrics.jsonl", process)
        process.send_signal(sent)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "resume=run" in output
    assert output.strip().splitlines()[-1] == "run folder: run"
    assert errors == ""
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "interrupted"
    step = result["steps"]
    assert main(["resume=run", f"trainer.max_steps={step + 10}"]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == step + 10


@pytest.mark.slow
def test_two_processes_cannot_train_in_one_folder(tmp_path: Path, capsys: Output) -> None:
    with _started(*ENDLESS, "tracking=none") as process:
        _wait_for(tmp_path / "run" / "metrics.jsonl", process)
        assert main(["resume=run"]) == 1
        assert "another process is training in this folder" in capsys.readouterr().err
    assert main(["resume=run", "trainer.max_epochs=1"]) == 0


@pytest.mark.slow
def test_two_runs_started_together_have_a_folder_each(tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(*FAST)) for _ in range(3)]
        folders = {process.communicate(timeout=120)[0].strip().splitlines()[-1] for process in processes}
    assert len(folders) == 3


def test_the_console_script_knows_the_same_commands(capsys: Output) -> None:
    from mlkit.__main__ import main as script

    assert script(["train", "--cfg", "job", "-p", "seed"]) == 0
    capsys.readouterr()
    assert script(["trian"]) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err
    assert script(["--help"]) == 0
    assert "mlkit train" in capsys.readouterr().out
