"""A population that is killed goes on as if it had not been, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mlkit.errors import CheckpointError, ConfigError
from mlkit.population import Member, PopulationResult, halving, train_many
from mlkit.population.snapshots import LINES, SNAPSHOT

# Two structures, one of which is trained as a stack, a member that diverges, dropout, a schedule, and rungs.
PROGRAM = """
import sys, time, torch, mlkit
from mlkit.population import Member, halving, train_many
generator = torch.Generator().manual_seed(0)
x = torch.randn(120, 6, generator=generator)
y = x[:, :3].argmax(1)
def make_model(member):
    width = 8 if member.seed < 6 else 5
    return mlkit.models.mlp(6, 3, hidden=(width,), dropout=0.2, normalization="batch", seed=member.seed)
members = [Member(seed=k, lr=0.003 * (k + 1), schedule="cosine", dropout=0.1 * (k % 3)) for k in range(8)]
members.append(Member(seed=4, optimizer="sgd", lr=1e38))
def told(progress):
    print(progress.epoch, flush=True)
    time.sleep(0.05)
def run(folder, backend, resume=False, progress=False):
    return train_many(
        make_model, members, (x, y), val=(x[:40], y[:40]), max_epochs=8, batch_size=16, backend=backend,
        keep=halving((2, 5), eta=2), folder=folder, save_every=0.0, resume=resume, progress=progress, device="cpu",
        workers=2,
    )
if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], progress=told)
"""


def _kill(folder: Path, backend: str, *, at: int) -> None:
    """Start the population in a process of its own and kill it soon after it has told of an epoch."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if int(line) >= at:
                break
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "at"), [("loop", 3), ("stacked", 1), ("stacked", 6), ("processes", 2)])
def test_killed_and_resumed_is_bit_identical(backend: str, at: int, tmp_path: Path) -> None:
    program: dict[str, Any] = {"__name__": "program"}
    exec(PROGRAM, program)
    expected: PopulationResult = program["run"](None, backend)
    _kill(tmp_path, backend, at=at)
    snapshot = torch.load(tmp_path / SNAPSHOT, weights_only=True)
    assert "running" in {record["status"] for record in snapshot["records"].values()}
    found: PopulationResult = program["run"](str(tmp_path), backend, resume=True)
    assert {each.status for each in found} == {"completed", "stopped", "diverged"}
    for one, other in zip(found, expected, strict=True):
        assert one.to_dict() | {"seconds": 0} == other.to_dict() | {"seconds": 0}
        assert one.history == other.history
        for name, value in other.model.state_dict().items():
            assert torch.equal(one.model.state_dict()[name], value)
    assert [rung["kept"] for rung in found.rungs] == [rung["kept"] for rung in expected.rungs]


X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def _train(folder: Path | None, members: list[Member], *, resume: bool = False, epochs: int = 3) -> PopulationResult:
    return train_many(
        lambda member: torch.nn.Linear(4, 2),
        members,
        (X, Y),
        val=(X, Y),
        max_epochs=epochs,
        keep=halving((1,), eta=2),
        folder=folder,
        resume=resume,
        device="cpu",
    )


def test_a_finished_population_is_read_back(tmp_path: Path) -> None:
    members = [Member(seed=k, lr=0.01, name=f"n{k}") for k in range(4)]
    first = _train(tmp_path, members)
    again = _train(tmp_path, members, resume=True)
    for one, other in zip(first, again, strict=True):
        assert one.to_dict() | {"seconds": 0} == other.to_dict() | {"seconds": 0}
        for name, value in one.model.state_dict().items():
            assert torch.equal(other.model.state_dict()[name], value)
    lines = [json.loads(line) for line in (tmp_path / LINES).read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert [line["member"]["name"] for line in lines] == ["n0", "n1", "n2", "n3"]
    assert sorted(line["status"] for line in lines) == ["completed", "completed", "stopped", "stopped"]
    assert all("loss" in line["metrics"]["val"] for line in lines)


def test_another_population_is_refused(tmp_path: Path) -> None:
    _train(tmp_path, [Member(), Member(seed=1)])
    with pytest.raises(CheckpointError, match="other members") as caught:
        _train(tmp_path, [Member(), Member(seed=1, lr=0.5)], resume=True)
    assert "member 1 with lr=0.5" in str(caught.value)
    with pytest.raises(CheckpointError, match="other epochs"):
        _train(tmp_path, [Member(), Member(seed=1)], resume=True, epochs=4)


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    members = [Member(), Member(seed=1)]
    _train(tmp_path, members)
    path = tmp_path / SNAPSHOT
    content = torch.load(path, weights_only=True)
    next(iter(content["model"].values()))["weight"][0, 0] += 1
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="damaged"):
        _train(tmp_path, members, resume=True)


def test_resume_needs_a_folder_and_starts_where_there_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resume needs the folder"):
        _train(None, [Member()], resume=True)
    assert _train(tmp_path, [Member(), Member(seed=1)], resume=True).rungs[0]["epoch"] == 1
