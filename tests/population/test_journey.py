"""From rung to rung: compaction, divergence, failures, progress."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mlkit import models
from mlkit.errors import ConfigError, TrainingError
from mlkit.population import Member, PopulationResult, Progress, Standing, halving, train_many
from mlkit.population.backend import BackendName
from tests.population.alone import CLASSES, assert_same, fit_alone, split_of

BACKENDS: list[BackendName] = ["loop", "processes", "stacked", "vmap"]
DATA, VAL = split_of((6,), 41, seed=0), split_of((6,), 20, seed=1)


def _mlp(member: Member) -> nn.Module:
    return models.mlp(6, CLASSES, hidden=(8,), dropout=0.2, seed=member.seed).double()


@pytest.mark.parametrize("backend", BACKENDS)
def test_members_that_go_on_are_as_if_nobody_had_stopped(backend: BackendName) -> None:
    members = [Member(seed=k, lr=0.001 * 3**k) for k in range(6)]
    keep = halving((1, 3), eta=2)
    results = train_many(
        _mlp, members, DATA, val=VAL, max_epochs=4, batch_size=8, backend=backend, keep=keep, device="cpu"
    )
    assert [len(rung["kept"]) for rung in results.rungs] == [3, 1]
    assert sorted(each.epochs for each in results) == [1, 1, 1, 3, 3, 4]
    for each in results:
        expected, _ = fit_alone(_mlp, each.member, DATA, VAL, max_epochs=each.epochs, batch_size=8)
        if each.status == "completed":
            assert_same(each, expected, tolerance=1e-10)
            continue
        assert each.status == "stopped"
        assert "kept after epoch" in (each.reason or "")
        assert set(each.metrics) == {"val"}
        assert each.value("val/loss") == pytest.approx(expected.metrics["val"]["loss"].value, abs=1e-10)
        for name, value in expected.model.state_dict().items():
            assert torch.allclose(each.model.state_dict()[name], value, rtol=0, atol=1e-10)


class _WithoutTheSecond:
    """Lets go of member 1 after the first epoch."""

    rungs = (1,)

    def __call__(self, epoch: int, standings: Sequence[Standing]) -> list[int]:
        return [standing.index for standing in standings if standing.index != 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_member_that_diverges_touches_nobody(backend: BackendName) -> None:
    def train(second: Member) -> PopulationResult:
        first, *others = (
            Member(seed=k, lr=0.01, optimizer="sgd", clip_norm=clip) for k, clip in ((0, None), (1, 1.0), (2, None))
        )
        members = [first, second, *others]
        return train_many(
            _mlp,
            members,
            DATA,
            val=VAL,
            max_epochs=3,
            batch_size=8,
            backend=backend,
            keep=_WithoutTheSecond(),
            device="cpu",
        )

    # A stack of three sums in another order than one of four, so the reference has a fourth too, which leaves as early.
    calm, wild = train(Member(seed=9, lr=0.01, optimizer="sgd")), train(Member(seed=9, lr=1e120, optimizer="sgd"))
    assert calm[1].status == "stopped"
    assert wild[1].status == "diverged"
    assert f"at step {wild[1].steps + 1}" in (wild[1].reason or "")
    assert wild[1].epochs == 0
    for place in (0, 2, 3):
        assert wild[place].status == "completed"
        for name, value in calm[place].model.state_dict().items():
            assert torch.equal(wild[place].model.state_dict()[name], value)  # bit for bit
        assert calm[place].history == wild[place].history


def test_every_back_end_sees_the_same_divergence() -> None:
    members = [Member(seed=0, lr=0.01, optimizer="sgd"), Member(seed=1, lr=1e120, optimizer="sgd")]
    found = [
        train_many(_mlp, members, DATA, val=VAL, max_epochs=3, batch_size=8, backend=backend, device="cpu")[1]
        for backend in BACKENDS
    ]
    assert len({(each.status, each.steps, each.examples, each.epochs) for each in found}) == 1


class _Fails(nn.Module):
    """Fails in its third epoch of 6 batches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls > 12:
            raise ValueError("the sensor is gone")
        result: Tensor = self.layer(x)
        return result


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_too_large_for_an_interval_keeps_its_value(backend: BackendName) -> None:
    """Its squares overflow, so the standard error does; the loss itself is finite and stands alone."""
    members = [Member(seed=0, lr=0.01, optimizer="sgd"), Member(seed=1, lr=1e10, optimizer="sgd")]
    results = train_many(_mlp, members, DATA, val=VAL, max_epochs=3, batch_size=8, backend=backend, device="cpu")
    expected, _ = fit_alone(_mlp, members[0], DATA, VAL, max_epochs=3, batch_size=8)
    assert_same(results[0], expected, tolerance=1e-10)
    assert results[1].status == "completed"
    loss = results[1].metrics["val"]["loss"]
    assert loss.value > 1e160
    assert (loss.low, loss.high) == (None, None)


def test_a_member_that_fails_ends_alone() -> None:
    def make_model(member: Member) -> nn.Module:
        return (_Fails() if member.seed == 1 else nn.Linear(6, CLASSES)).double()

    results = train_many(
        make_model, [Member(seed=k) for k in range(3)], DATA, max_epochs=4, batch_size=8, backend="loop", device="cpu"
    )
    assert [each.status for each in results] == ["completed", "failed", "completed"]
    assert results[1].reason == "ValueError: the sensor is gone"
    assert results[1].epochs == 2


def test_if_all_fail_the_reason_is_raised() -> None:
    with pytest.raises(TrainingError, match="the sensor is gone") as caught:
        train_many(lambda member: _Fails().double(), [Member(), Member(seed=1)], DATA, batch_size=8, device="cpu")
    assert isinstance(caught.value.__cause__, ValueError)


def test_whoever_keep_names_must_be_training() -> None:
    class Wrong:
        rungs = (1,)

        def __call__(self, epoch: int, standings: Sequence[Standing]) -> list[int]:
            return [7]

    with pytest.raises(ConfigError, match="keep names members that are not training"):
        train_many(_mlp, [Member()], DATA, val=VAL, max_epochs=2, keep=Wrong(), device="cpu")


@pytest.mark.parametrize("backend", BACKENDS)
def test_progress_is_told_and_ends_at_the_end(backend: BackendName) -> None:
    told: list[Progress] = []
    members = [Member(seed=k, lr=0.01) for k in range(4)]
    train_many(
        _mlp,
        members,
        DATA,
        val=VAL,
        max_epochs=4,
        batch_size=8,
        backend=backend,
        keep=halving((2,), eta=2),
        progress=told.append,
        device="cpu",
    )
    assert told[-1].epoch == 4
    assert told[0].active == 4
    assert told[-1].active == 2
    assert [each.epoch for each in told] == sorted(each.epoch for each in told)
    assert all(each.best == min(told[0].best, each.best) or each.epoch > 1 for each in told)
