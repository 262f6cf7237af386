"""P4: members that differ in anything but numbers never train as one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlkit import models
from mlkit.population import Member, train_many
from mlkit.population.buckets import buckets_of
from mlkit.population.plan import plan_cohorts
from mlkit.population.run import Run, make_runs
from tests.population.alone import CLASSES, split_of
from tests.population.courses import course_of

DATA = split_of((6,), 40, seed=0)


class _Flagged(nn.Module):
    """One flag decides what the same layers compute."""

    def __init__(self, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).relu()
        result: Tensor = self.last(h + x if self.residual else h)
        return result


def _groups(make_model: Callable[[Member], nn.Module], members: list[Member]) -> list[list[int]]:
    course = course_of(DATA)
    buckets, loose = buckets_of(make_runs(make_model, members, course), course)
    assert not loose
    return [[run.index for run in bucket] for bucket in buckets]


@pytest.mark.parametrize(
    "make_model",
    [
        lambda member: _Flagged(residual=member.seed % 2 == 1),
        lambda member: models.mlp(6, 3, hidden=(6,), activation="relu" if member.seed % 2 else "tanh"),
        lambda member: models.mlp(6, 3, hidden=(6 + member.seed % 2,)),
        lambda member: models.mlp(6, 3, hidden=(6,), normalization="batch" if member.seed % 2 else "layer"),
        lambda member: nn.Sequential(nn.Linear(6, 3), nn.LeakyReLU(0.1 * (member.seed % 2))),
    ],
    ids=["flag", "activation", "width", "normalisation", "slope"],
)
def test_members_of_two_kinds_are_two_buckets(make_model: Callable[[Member], nn.Module]) -> None:
    assert _groups(make_model, [Member(seed=k) for k in range(4)]) == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    "members",
    [
        [Member(optimizer="adam" if k % 2 else "adamw") for k in range(4)],
        [Member(optimizer="sgd", nesterov=k % 2 == 1) for k in range(4)],
        [Member(rows=torch.arange(20 + k % 2)) for k in range(4)],
    ],
    ids=["optimiser", "nesterov", "examples"],
)
def test_settings_that_cannot_be_numbers_of_a_stack_split_too(members: list[Member]) -> None:
    assert _groups(lambda member: nn.Linear(6, 3), members) == [[0, 2], [1, 3]]


def test_numbers_do_not_split() -> None:
    members = [
        Member(lr=0.1, dropout=0.5, schedule="cosine", clip_norm=1.0, label_smoothing=0.1),
        Member(seed=1, weight_decay=0.1, rows=torch.arange(40), betas=(0.5, 0.9)),
        Member(seed=2, weights=torch.ones(40), data_seed=0),
    ]
    assert _groups(lambda member: models.mlp(6, 3, hidden=(6,), dropout=0.1), members) == [[0, 1, 2]]


def test_a_model_with_a_hook_is_no_part_of_a_stack() -> None:
    def make_model(member: Member) -> nn.Module:
        model = nn.Linear(6, 3)
        if member.seed == 1:
            model.register_forward_hook(lambda module, args, output: output * 2)
        return model

    course = course_of(DATA)
    runs = make_runs(make_model, [Member(seed=k) for k in range(3)], course)
    buckets, loose = buckets_of(runs, course)
    assert [[run.index for run in bucket] for bucket in buckets] == [[0, 2]]
    assert [run.index for run in loose] == [1]


def test_flags_are_respected_by_what_is_trained() -> None:
    def make_model(member: Member) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return _Flagged(residual=member.seed % 2 == 1).double()

    members = [Member(seed=k, lr=0.01, data_seed=0) for k in range(4)]
    stacked, loop = (
        train_many(make_model, members, DATA, max_epochs=2, batch_size=8, backend=backend, device="cpu")
        for backend in ("stacked", "loop")
    )
    for one, other in zip(stacked, loop, strict=True):
        for name, value in other.model.state_dict().items():
            assert torch.allclose(one.model.state_dict()[name], value, rtol=0, atol=1e-10)
    # The data are those of one seed, so members 0 and 1 differ by the flag alone, and that must show.
    assert not torch.allclose(loop[0].model.last.weight, loop[1].model.last.weight, atol=1e-3)
    assert torch.equal(loop[0].model.last.weight, loop[2].model.last.weight)


def test_members_that_are_alone_of_their_kind_share_a_cohort() -> None:
    course = course_of(DATA)
    runs: list[Run] = make_runs(
        lambda member: models.mlp(6, 3, hidden=(4 + max(0, member.seed - 1),)),
        [Member(seed=k) for k in range(4)],
        course,
    )
    cohorts = plan_cohorts(runs, course, "auto")
    assert sorted([run.index for run in cohort.all] for cohort in cohorts) == [[0, 1], [2, 3]]
    assert next(c for c in cohorts if len(c.all) == 2 and c.all[0].index == 2).choice.backend in ("loop", "processes")
