"""Memory that runs out, and back ends that give up."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from mlkit.population import Member, train_many
from mlkit.population.cohort import Choice, Cohort
from mlkit.population.journey import Journey
from mlkit.population.run import make_runs
from tests.population.alone import CLASSES, assert_same, fit_alone, split_of
from tests.population.courses import course_of

DATA, VAL = split_of((6,), 41, seed=0), split_of((6,), 20, seed=1)

# A real allocation that the system refuses: the address space is limited, and the model takes 32 MiB a row.
PROGRAM = """
import json, resource, torch
from torch import nn
from mlkit.population import Member, train_many

class Hungry(nn.Module):
    def forward(self, x):
        if self.training:
            torch.empty(len(x) << 25, dtype=torch.uint8)
        return x

def make_model(member):
    with torch.random.fork_rng():
        torch.manual_seed(member.seed)
        return nn.Sequential(nn.Linear(6, 5), Hungry(), nn.Linear(5, 3))

x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
y = x[:, :3].argmax(1)
members = [Member(seed=k, lr=0.01 * (k + 1)) for k in range(5)]
arguments = dict(max_epochs=2, batch_size=8, device="cpu")
expected = train_many(make_model, members, (x, y), backend="loop", **arguments)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (700 << 20)  # 16 rows fit, 24 do not
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = train_many(make_model, members, (x, y), backend="stacked", **arguments)
worst = max(
    float((a - b).abs().max())
    for one, other in zip(found, expected)
    for a, b in zip(one.model.state_dict().values(), other.model.state_dict().values())
)
speed = [(each["members"], each["reason"]) for each in found.speed]
print(json.dumps({"worst": worst, "status": [each.status for each in found], "speed": speed}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_when_memory_runs_out_the_population_is_halved() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == ["completed"] * 5
    assert found["worst"] < 1e-5
    assert [members for members, _ in found["speed"]] == [[0, 1], [2], [3, 4]]
    assert all("memory ran out" in reason for _, reason in found["speed"])


class _TooLarge(nn.Module):
    """Has no room for more than so many rows: raises what Python raises."""

    rows = 9

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > self.rows:
            raise MemoryError
        result: Tensor = self.layer(x)
        return result


def _seeded(member: Member) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(member.seed)
        return _TooLarge().double()


def test_halving_for_memory_goes_down_to_one_and_changes_no_result() -> None:
    members = [Member(seed=k, lr=0.01) for k in range(3)]
    results = train_many(_seeded, members, DATA, val=VAL, max_epochs=2, batch_size=8, backend="stacked", device="cpu")
    assert [each["members"] for each in results.speed] == [[0], [1], [2]]
    for member, each in zip(members, results, strict=True):
        expected, _ = fit_alone(_seeded, member, DATA, VAL, max_epochs=2, batch_size=8)
        assert_same(each, expected, tolerance=1e-10)


def test_a_member_without_room_alone_has_failed() -> None:
    def make_model(member: Member) -> nn.Module:
        model = _seeded(member)
        model.rows = 9 if member.seed < 2 else 7  # type: ignore[assignment]
        return model

    results = train_many(
        make_model,
        [Member(seed=k) for k in range(3)],
        DATA,
        max_epochs=1,
        batch_size=8,
        backend="stacked",
        device="cpu",
    )
    assert [each.status for each in results] == ["completed", "completed", "failed"]
    assert results[2].reason == "MemoryError"


class _Stateful(nn.Module):
    """Breaks after 14 forward passes in training, whoever is in it: in the third epoch of a stack."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.training and len(x) > 9 and self.calls > 14:
            raise RuntimeError("only stacks are so large")
        result: Tensor = self.layer(x)
        return result


def test_where_a_stack_gives_up_the_loop_starts_again() -> None:
    def make_model(member: Member) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(member.seed)
            return _Stateful().double()

    members = [Member(seed=k, lr=0.01) for k in range(3)]
    course = course_of(DATA, VAL, epochs=4)
    runs = make_runs(make_model, members, course)
    cohort = Cohort(runs, course, Choice("stacked", "chosen"))
    journey = Journey([cohort], course, keep=None, rungs=[], folder=None, about={}, every=60.0, report=None)
    journey.go()
    assert [each.choice.backend for each in journey.cohorts if each.all] == ["loop"]
    assert "only stacks are so large" in journey.cohorts[-1].choice.reason
    for run in runs:
        assert run.record.status == "completed"
        assert run.record.epoch == 4
        assert [entry["epoch"] for entry in run.record.history if entry["split"] == "running"] == [1, 2, 3, 4]
