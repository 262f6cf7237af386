"""Every back end against `fit` of each member alone, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mlkit import models
from mlkit.data.batches import SplitBatches
from mlkit.data.splits import Batch
from mlkit.engine import fit, make_optimizer
from mlkit.errors import ConfigError
from mlkit.models.blocks import BasicBlock
from mlkit.models.init import seeded
from mlkit.models.resnet import ResNet
from mlkit.population import Member, halving, train_many
from mlkit.population.backend import BackendName
from tests.population.alone import CLASSES, assert_same, fit_alone, split_of

TOLERANCE = 1e-8  # of P1; what was seen is about 1e-12


def _mlp(member: Member) -> nn.Module:
    return models.mlp(6, CLASSES, hidden=(8, 8), dropout=0.2, normalization="layer", seed=member.seed).double()


def _lenet(member: Member) -> nn.Module:
    return models.lenet(CLASSES, image_size=16, width=0.5, seed=member.seed).double()


def _resnet(member: Member) -> nn.Module:
    def make() -> nn.Module:
        return ResNet(
            BasicBlock,
            (1, 1),
            num_classes=CLASSES,
            in_channels=3,
            small_input=True,
            first_width=4,
            shortcut="pad",
            normalization="batch",
            zero_init_residual=False,
        )

    return seeded(make, seed=member.seed).double()


def _lstm(member: Member) -> nn.Module:
    return models.lstm(3, CLASSES, hidden=5, layers=2, dropout=0.3, seed=member.seed).double()


CASES: dict[str, tuple[Callable[[Member], nn.Module], tuple[int, ...]]] = {
    "mlp": (_mlp, (6,)),
    "lenet": (_lenet, (1, 16, 16)),
    "resnet": (_resnet, (3, 8, 8)),
    "lstm": (_lstm, (4, 3)),
}
MEMBERS = {
    "rates": [
        Member(seed=s, lr=lr, weight_decay=wd) for s, lr, wd in ((0, 1e-3, 0.0), (1, 1e-2, 0.1), (1, 3e-3, 0.01))
    ],
    "sgd": [
        Member(seed=s, optimizer="sgd", lr=lr, momentum=momentum, weight_decay=1e-3, clip_norm=clip, schedule="cosine")
        for s, lr, momentum, clip in ((0, 0.05, 0.9, 0.5), (2, 0.01, 0.0, None), (3, 0.02, 0.5, 1.0))
    ],
}


BACKENDS: list[BackendName] = ["loop", "processes", "stacked", "vmap"]


def _check(
    make_model: Callable[[Member], nn.Module],
    members: list[Member],
    shape: tuple[int, ...],
    backend: BackendName,
    *,
    epochs: int = 2,
    count: int = 41,
) -> None:
    data, val = split_of(shape, count, seed=0), split_of(shape, 20, seed=1)
    results = train_many(
        make_model, members, data, val=val, max_epochs=epochs, batch_size=8, backend=backend, device="cpu"
    )
    for member, result in zip(members, results, strict=True):
        expected, _ = fit_alone(make_model, member, data, val, max_epochs=epochs, batch_size=8)
        assert_same(result, expected, tolerance=TOLERANCE)
        assert result.status == "completed"
        assert result.backend == backend


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("settings", MEMBERS)
@pytest.mark.parametrize("case", CASES)
def test_a_member_is_what_fit_alone_makes_of_it(case: str, settings: str, backend: BackendName) -> None:
    if case == "lstm" and backend == "vmap":
        pytest.skip("PyTorch has no batching rule for nn.LSTM")
    make_model, shape = CASES[case]
    _check(make_model, MEMBERS[settings], shape, backend)


@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_of_a_stack_are_those_of_fit(case: str) -> None:
    make_model, shape = CASES[case]
    _check(make_model, MEMBERS["rates"], shape, "stacked", epochs=20)


@pytest.mark.parametrize("backend", BACKENDS)
def test_halves_dropout_and_label_smoothing(backend: BackendName) -> None:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(5))
    members = [
        Member(seed=0, rows=order[:20], lr=1e-2, dropout=0.5),
        Member(seed=0, rows=order[20:], lr=1e-2, label_smoothing=0.1),
        Member(seed=1, rows=order[20:], lr=1e-2, dropout=0.1, data_seed=7),
    ]
    _check(_mlp, members, (6,), backend, count=40)


def _flip(batch: Batch, generator: torch.Generator) -> Batch:
    flips = torch.rand(len(batch.targets), generator=generator) < 0.5
    x = batch.inputs[0]  # type: ignore[index]
    return Batch((torch.where(flips[:, None], -x, x),), batch.targets)


@pytest.mark.parametrize("backend", BACKENDS)
def test_augmentation_is_each_members_own(backend: BackendName) -> None:
    members = [Member(seed=0, augment=_flip), Member(seed=0), Member(seed=1, augment=_flip)]
    _check(_mlp, members, (6,), backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_example_weights_are_those_of_a_loop_in_plain_pytorch(backend: BackendName) -> None:
    data = split_of((6,), 40, seed=0)
    weights = torch.poisson(torch.ones(3, 40), generator=torch.Generator().manual_seed(1))
    members = [Member(seed=0, lr=0.01, weights=w, data_seed=4) for w in weights]

    def make_model(member: Member) -> nn.Module:
        return models.mlp(6, CLASSES, hidden=(8,), seed=2).double()

    results = train_many(make_model, members, data, max_epochs=3, batch_size=8, backend=backend, device="cpu")
    for member, result in zip(members, results, strict=True):
        assert member.weights is not None
        model = make_model(member)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for epoch in range(3):
            order = SplitBatches(data, 8, shuffle=True, seed=4).order(epoch)
            for index in order.split(8):
                losses = nn.functional.cross_entropy(
                    model(data.inputs[0][index]), data.targets[index], reduction="none"
                )
                w = member.weights[index]
                optimizer.zero_grad()
                ((losses * w).sum() / w.sum()).backward()
                optimizer.step()
        for name, value in model.state_dict().items():
            assert torch.allclose(result.model.state_dict()[name], value, rtol=0, atol=TOLERANCE)


def test_weights_of_0_and_1_become_rows_where_batch_statistics_would_leak() -> None:
    data, val = split_of((3, 8, 8), 40, seed=0), split_of((3, 8, 8), 20, seed=1)
    half = torch.arange(40) % 2
    by_weights, by_rows = Member(weights=half.float()), Member(rows=half.nonzero()[:, 0])
    results = train_many(_resnet, [by_weights], data, val=val, max_epochs=1, batch_size=8, backend="loop", device="cpu")
    expected, _ = fit_alone(_resnet, by_rows, data, val, max_epochs=1, batch_size=8)
    assert_same(results[0], expected, tolerance=TOLERANCE)
    assert results[0].member is by_weights


@pytest.mark.parametrize("backend", ["loop", "stacked"])
def test_a_member_does_not_depend_on_who_trains_beside_it(backend: BackendName) -> None:
    data, val = split_of((6,), 41, seed=0), split_of((6,), 20, seed=1)
    probe = Member(seed=3, lr=0.01, dropout=0.4)
    found = []
    for size in (1, 4, 32):
        members = [Member(seed=k, lr=0.001 * (k + 1), dropout=0.2) for k in range(size - 1)]
        members.insert(size // 2, probe)
        results = train_many(_mlp, members, data, val=val, max_epochs=3, batch_size=8, backend=backend, device="cpu")
        found.append(results[size // 2])
    for other in found[1:]:
        for name, value in found[0].model.state_dict().items():
            assert torch.allclose(other.model.state_dict()[name], value, rtol=0, atol=1e-10)


def test_nothing_global_is_changed() -> None:
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    x, y = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
    members = [Member(seed=k) for k in range(3)]
    train_many(lambda m: models.mlp(6, 3, hidden=(4,), seed=m.seed), members, (x, y), max_epochs=1, device="cpu")
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_a_loader_is_read_as_fit_reads_it() -> None:
    data = split_of((6,), 41, seed=0)
    loader = DataLoader(TensorDataset(data.inputs[0].float(), data.targets), batch_size=8, shuffle=True)
    members = [Member(lr=lr) for lr in (0.01, 0.001)]

    def make_model(member: Member) -> nn.Module:
        return models.mlp(6, CLASSES, hidden=(4,), seed=0)

    alone = [
        fit(model, loader, optimizer=make_optimizer(model, lr=member.lr), max_epochs=2, device="cpu")
        for member in members
        for model in [make_model(member)]
    ]
    backends: list[BackendName] = ["loop", "stacked"]
    for backend in backends:
        results = train_many(make_model, members, loader, max_epochs=2, backend=backend, device="cpu")
        for result, expected in zip(results, alone, strict=True):
            for name, value in expected.model.state_dict().items():
                assert torch.allclose(result.model.state_dict()[name], value, rtol=0, atol=1e-5)


def test_what_does_not_fit_is_said_of_all_members_together() -> None:
    x, y = torch.randn(10, 6), torch.arange(10) % 2
    members = [
        Member(rows=torch.tensor([0, 10])),
        Member(weights=torch.ones(9)),
        Member(dropout=0.5),
        Member(schedule="step"),
    ]
    with pytest.raises(ConfigError) as caught:
        train_many(lambda member: nn.Linear(6, 2), members, (x, y), device="cpu")
    text = str(caught.value)
    assert "member 0: rows that do not exist" in text
    assert "member 1: there are not as many weights" in text
    assert "member 2: the model has no dropout to set" in text
    assert "member 3: the schedule 'step' needs to know when to drop" in text


def test_one_model_for_all_is_refused() -> None:
    x, y = torch.randn(10, 6), torch.arange(10) % 2
    model = nn.Linear(6, 2)
    with pytest.raises(ConfigError, match="the same model twice"):
        train_many(lambda member: model, [Member(), Member(seed=1)], (x, y), device="cpu")


def test_a_rung_after_the_end_is_refused() -> None:
    x, y = torch.randn(10, 6), torch.arange(10) % 2
    with pytest.raises(ConfigError, match="a rung at or after the end"):
        train_many(lambda member: nn.Linear(6, 2), [Member()], (x, y), max_epochs=3, keep=halving((3,)), device="cpu")
