"""What the probe finds, and that it leaves no trace."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit import models
from mlkit.data.splits import TensorSplit
from mlkit.population import Member
from mlkit.population.agreement import check_agreement
from mlkit.population.cohort import Choice
from mlkit.population.course import Course
from mlkit.population.probe import Candidate, choose, fastest
from mlkit.population.run import MakeModel, Run, make_runs
from tests.population.alone import CLASSES, split_of
from tests.population.courses import course_of

DOUBLES = split_of((6,), 40, seed=0)
DATA = TensorSplit((DOUBLES.inputs[0].float(),), DOUBLES.targets)


class _MixesRows(nn.Module):
    """Centres a batch by its own mean: of a stack, by the mean of all members together."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        return h - h.mean(0, keepdim=True)


class _DrawsItself(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.layer(x), 0.5, self.training)


def _runs(make: MakeModel, size: int = 4) -> tuple[list[Run], Course]:
    course = course_of(DATA, epochs=20)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_runs(make, [Member(seed=k) for k in range(size)], course), course


@pytest.mark.parametrize(
    "make_model",
    [
        lambda member: models.mlp(6, CLASSES, hidden=(8,), dropout=0.3, normalization="batch", seed=member.seed),
        lambda member: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, CLASSES)),
    ],
    ids=["mlp", "layer norm"],
)
def test_a_right_stack_agrees_in_float64(make_model: MakeModel) -> None:
    runs, course = _runs(make_model)
    found = check_agreement(runs, course, "stacked")
    assert found.precision == torch.float64
    assert found.problem is None
    assert found.worst < 1e-12


def test_a_model_that_mixes_rows_is_found_out() -> None:
    runs, course = _runs(lambda member: _MixesRows())
    found = check_agreement(runs, course, "stacked")
    assert found.problem is not None
    assert "differs" in found.problem
    choice = choose(runs, course, can_stack=True)
    assert choice.backend != "stacked"
    assert "stacked is wrong here" in choice.reason


def test_a_model_that_draws_itself_is_trained_alone() -> None:
    runs, course = _runs(lambda member: _DrawsItself())
    choice = choose(runs, course, can_stack=True)
    assert choice.backend in ("loop", "processes")


def test_the_probe_leaves_no_trace() -> None:
    runs, course = _runs(lambda member: models.mlp(6, CLASSES, hidden=(8,), normalization="batch", dropout=0.1))
    before = [{name: value.clone() for name, value in run.model.state_dict().items()} for run in runs]
    generator = torch.get_rng_state()
    choice = choose(runs, course, can_stack=True)
    assert set(choice.seconds) >= {"loop", "stacked"}
    assert torch.equal(generator, torch.get_rng_state())
    for run, weights in zip(runs, before, strict=True):
        assert run.record.step == 0
        assert not run.record.history
        for name, value in run.model.state_dict().items():
            assert torch.equal(value, weights[name])


def test_one_member_goes_by_the_loop() -> None:
    runs, course = _runs(lambda member: nn.Linear(6, CLASSES), size=1)
    assert choose(runs, course, can_stack=False).backend == "loop"


def test_a_short_run_is_not_measured() -> None:
    course = course_of(DATA, epochs=2)
    runs = make_runs(lambda member: nn.Linear(6, CLASSES), [Member(), Member(seed=1)], course)
    choice = choose(runs, course, can_stack=True)
    assert choice.backend == "loop"
    assert choice.reason == "a run of 10 steps is over before a measurement pays"


def test_processes_have_to_gain_more() -> None:
    def candidates(stacked: float, processes: float) -> Choice:
        tried = [("loop", 1.0), ("stacked", stacked), ("processes", processes)]
        return fastest([Candidate(Choice(name, ""), seconds, "") for name, seconds in tried], [], 3)  # type: ignore[arg-type]

    assert candidates(1.0, 0.5).backend == "processes"
    assert candidates(1.0, 0.8).backend == "loop"
    assert candidates(0.6, 0.5).backend == "stacked"


def test_the_loop_stays_unless_something_is_clearly_faster() -> None:
    def candidates(loop: float, stacked: float) -> Choice:
        return fastest(
            [Candidate(Choice("loop", ""), loop, ""), Candidate(Choice("stacked", ""), stacked, "a note")],
            ["vmap no"],
            3,
        )

    assert candidates(1.0, 0.95).backend == "loop"
    assert candidates(1.0, 2.0).backend == "loop"
    found = candidates(1.0, 0.5)
    assert found.backend == "stacked"
    assert found.reason == "a step of 3 members takes loop 1e+03 ms, stacked 500 ms; a note; vmap no"
    assert found.seconds == {"loop": 1.0, "stacked": 0.5}
