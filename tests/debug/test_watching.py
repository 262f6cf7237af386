from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from mlkit.debug.watching import Watch

PROGRAM = """
import sys
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(256, 8)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    rows = torch.randperm(256)[:32]
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item().hex())
print(sum(p.sum() for p in model.parameters()).item().hex(), sys.argv, __name__, torch.rand(3).tolist())
"""


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.slow
def test_a_program_prints_the_same_to_the_last_bit_with_and_without(program: Path) -> None:
    plain = _run(program.name, "--epochs", "3", cwd=program.parent)
    watched = _run("-m", "mlkit.watch", "--json", "r.json", program.name, "--epochs", "3", cwd=program.parent)
    assert plain.returncode == watched.returncode == 0, watched.stderr
    assert watched.stdout == plain.stdout
    assert "nothing found" in watched.stderr
    report = json.loads((program.parent / "r.json").read_text())
    assert report["steps"] == 60
    assert report["findings"] == []


@pytest.mark.slow
def test_a_bug_exits_with_1_and_points_at_the_line(program: Path) -> None:
    program.write_text(PROGRAM.replace("    optimizer.zero_grad()\n", ""))
    done = _run("-m", "mlkit.watch", "--json", "r.json", program.name, cwd=program.parent)
    assert done.returncode == 1
    finding = json.loads((program.parent / "r.json").read_text())["findings"][0]
    assert finding["code"] == "step.gradients-not-cleared"
    assert finding["source"] == "loss.backward()"
    assert "train.py:14" in done.stderr
    ignored = _run("-m", "mlkit.watch", "--ignore", "step", program.name, cwd=program.parent)
    assert ignored.returncode == 0
    never = _run("-m", "mlkit.watch", "--fail-on", "never", program.name, cwd=program.parent)
    assert never.returncode == 0


@pytest.mark.slow
def test_a_crash_keeps_its_traceback_and_exit_code_and_is_explained(program: Path) -> None:
    program.write_text(PROGRAM.replace("nn.Linear(16, 2)", "nn.Linear(17, 2)"))
    plain = _run(program.name, cwd=program.parent)
    done = _run("-m", "mlkit.watch", "--json", "r.json", program.name, cwd=program.parent)
    assert done.returncode == plain.returncode == 1
    assert plain.stderr.splitlines()[-1] in done.stderr
    assert "mlkit/debug" not in done.stderr
    finding = json.loads((program.parent / "r.json").read_text())["findings"][0]
    assert finding["code"] == "shape.mismatch"
    assert finding["line"] == 9


@pytest.mark.slow
def test_the_exit_code_of_the_program_is_its_own(program: Path) -> None:
    program.write_text("import sys\nsys.exit(7)\n")
    assert _run("-m", "mlkit.watch", program.name, cwd=program.parent).returncode == 7


@pytest.mark.slow
def test_ctrl_c_still_writes_the_report(program: Path) -> None:
    program.write_text(
        PROGRAM.replace("range(60)", "range(100_000)").replace("print(step", "print(step, flush=True) or print(step")
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "mlkit.watch", "--json", "r.json", program.name]
    process = subprocess.Popen(
        command, cwd=program.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("50"):
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert json.loads((program.parent / "r.json").read_text())["steps"] >= 50
    time.sleep(0.2)
    left = subprocess.run(["pgrep", "-f", str(program.parent)], capture_output=True, text=True, check=False).stdout
    assert left == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.py"], "there is no such file"),
        ([], "no program was given"),
        (["--stepz", "3", "x.py"], "unknown option"),
        (["--select", "loss.brodcast", "x.py"], "did you mean"),
        (["--steps", "0", "x.py"], "at least 1"),
        (["--explain", "step.gradients-not-cleard"], "did you mean"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlkit.debug.command import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py").write_text("")
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_with_block_is_watched_and_the_numbers_are_the_same() -> None:
    def train() -> list[float]:
        torch.manual_seed(0)
        model, losses = nn.Linear(4, 1), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = torch.randn(32, 4), torch.randn(32)
        for _ in range(6):
            loss = (model(x)[:, 0] - y).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return [*losses, float(torch.rand(()))]

    plain = train()
    with Watch() as watch:
        watched = train()
    assert watched == plain
    assert watch.report.findings[0].code == "step.gradients-not-cleared"
    assert watch.report.steps == 6


def test_a_line_can_silence_a_finding() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(32, 4), torch.randn(32)
    with Watch() as watch:
        for _ in range(6):
            loss = (model(x)[:, 0] - y).square().mean()
            loss.backward()  # mlkit: ignore[step.gradients-not-cleared]
            optimizer.step()
    assert "step.gradients-not-cleared" not in [one.code for one in watch.report.findings]


def test_an_exception_in_the_block_is_the_users_own() -> None:
    with pytest.raises(RuntimeError, match="mat1"), Watch() as watch:
        nn.Linear(3, 2)(torch.randn(4, 5))
    assert watch.report.findings[0].code == "shape.mismatch"
