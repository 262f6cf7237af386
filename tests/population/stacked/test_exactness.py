"""What a stack must hold: members equal separate runs (P1), keep to themselves (P2), in any company (P3)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mlkit.metrics.losses import CrossEntropy
from mlkit.population.stacked.fold import StackedLayer
from mlkit.population.stacked.losses import member_losses
from mlkit.population.stacked.optimizers import StackedOptimizer
from mlkit.population.stacked.settings import OptimizerSettings
from mlkit.population.stacked.stack import Stack
from mlkit.population.stacked.vmapped import VmapStack
from tests.population.stacked.zoo import (
    ARCHITECTURES,
    batches,
    difference,
    example_weights,
    settings,
    train_alone,
)

STEPS = 100
LOSS = CrossEntropy(3)
Data = Sequence[tuple[Tensor, Tensor]]


class Population:
    """Trains a stack step by step, as a back end does."""

    def __init__(
        self, models: Sequence[nn.Module], ones: Sequence[OptimizerSettings], keys: Sequence[int], kind: type = Stack
    ) -> None:
        self.stack = kind.of(models, keys=keys)
        self.optimizer = StackedOptimizer(self.stack, ones)
        self.active = torch.ones(len(models), dtype=torch.bool)
        self.step = 0

    def train(self, data: Data, *, weights: int | None = None) -> None:
        for x, y in data:
            self.stack.set_step(self.step)
            outputs = self.stack.forward((x,), shared=True)
            share = None if weights is None else example_weights(weights, self.step, len(x))[: self.stack.size]
            losses = member_losses(LOSS, outputs, y, weights=share, own_targets=False)
            self.active &= losses.isfinite()
            factors = torch.ones(self.stack.size)
            self.optimizer.step(self.stack.gradients(losses), factors=factors, active=self.active)
            self.step += 1

    def select(self, members: Sequence[int]) -> None:
        self.stack.select(members)
        self.optimizer.select(members)
        self.active = self.active[list(members)]

    def use(self, kernel: str) -> None:
        for layer in self.stack.model.modules():
            if isinstance(layer, StackedLayer) and kernel in layer.kernels:
                layer.kernel = kernel


WAYS = [(name, Stack, kernel) for name in ARCHITECTURES for kernel in ("default",)] + [
    ("lenet", Stack, "wide"),
    ("resnet", Stack, "loop"),
    ("lstm", Stack, "loop"),
    ("mlp", VmapStack, ""),
    ("lenet", VmapStack, ""),
    ("resnet", VmapStack, ""),
]


@pytest.mark.parametrize(("name", "kind", "kernel"), WAYS, ids=lambda value: getattr(value, "__name__", value))
def test_members_equal_separate_runs(name: str, kind: type, kernel: str) -> None:
    """Learning rate, decay, dropout and example weights differ; 100 steps in float64 (P1)."""
    make, shape = ARCHITECTURES[name]
    models, ones, data = [make(k) for k in range(3)], settings(3), batches(STEPS, shape)
    population = Population(models, ones, keys=[5, 6, 7], kind=kind)
    if kind is Stack:
        population.use(kernel)
    population.train(data, weights=3)
    for k, model in enumerate(models):
        alone = train_alone(model, ones[k], data, key=5 + k, weights=lambda step, k=k: example_weights(3, step, 6)[k])  # type: ignore[misc]
        assert difference(population.stack.state_dict_of(k), dict(alone.state_dict())) <= 1e-8
        assert difference(dict(model.state_dict()), dict(alone.state_dict())) > 1e-3  # it did train


@pytest.mark.parametrize("kernel", ["loop", "wide"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet", "lstm"])
def test_a_diverging_member_changes_no_bit_of_its_neighbours(name: str, optimizer: str, kernel: str) -> None:
    """Learning rate 1e6 until it is no number any more, against the same place with a sane rate (P2)."""
    make, shape = ARCHITECTURES[name]
    models, data = [make(k) for k in range(4)], batches(12, shape)
    sane = settings(4, name=optimizer)
    wild = [
        OptimizerSettings(name=one.name, lr=1e6 if k == 1 else one.lr, weight_decay=one.weight_decay * (k != 1))
        for k, one in enumerate(sane)
    ]
    populations = [Population(models, ones, keys=range(4)) for ones in (sane, wild)]
    for population in populations:
        population.use(kernel)
        if population is populations[1]:
            # Adam's steps are bounded and a norm hides the size of weights, so the end comes by hand where it is late.
            population.train(data[:2])
            next(iter(population.stack.parameters.values())).data[1] = float("inf")
            population.train(data[2:])
        else:
            population.train(data)
    assert not bool(populations[1].active[1])
    assert populations[1].active.tolist() == [True, False, True, True]
    for k in (0, 2, 3):
        healthy, beside = (population.stack.state_dict_of(k) for population in populations)
        assert all(torch.equal(healthy[key], beside[key]) for key in healthy), k


def test_a_high_learning_rate_alone_freezes_a_member() -> None:
    models, data = [nn.Linear(6, 3).double() for _ in range(3)], batches(100, (6,))
    ones = [OptimizerSettings(name="sgd", lr=lr, momentum=0.9, weight_decay=0.1) for lr in (0.01, 1e6, 0.02)]
    population = Population(models, ones, keys=range(3))
    population.train(data)
    assert population.active.tolist() == [True, False, True]
    alone = Population([models[0], models[2]], [ones[0], ones[2]], keys=[0, 2])
    alone.train(data)
    for place, k in enumerate((0, 2)):
        assert difference(population.stack.state_dict_of(k), alone.stack.state_dict_of(place)) <= 1e-12


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_member_is_the_same_in_any_company(name: str) -> None:
    """K = 1, 4 and 32, and 4 compacted on the way; dropout included (P3)."""
    make, shape = ARCHITECTURES[name]
    steps = 4 if name == "resnet" else 10
    data = batches(2 * steps, shape)

    def trained(members: Sequence[int], *, then: Sequence[int]) -> dict[str, Tensor]:
        ones = settings(32)
        population = Population([make(k) for k in members], [ones[k] for k in members], keys=members)
        population.train(data[:steps])
        if list(then) != list(members):
            population.select([list(members).index(k) for k in then])
        population.train(data[steps:])
        return population.stack.state_dict_of(list(then).index(3))

    alone = trained([3], then=[3])
    for members, then in (
        (range(4), range(4)),
        (range(32) if name != "resnet" else range(8), [3, 1, 30 if name != "resnet" else 7]),
        ([7, 3, 1, 0], [3, 0]),
        (range(4), [3]),
    ):
        assert difference(alone, trained(list(members), then=list(then))) <= 1e-10


def test_dropout_masks_keep_their_bits_in_any_company() -> None:
    def masks(members: Sequence[int], *, keep: Sequence[int] | None = None) -> Tensor:
        models = [nn.Sequential(nn.Linear(2, 50), nn.Dropout(0.1 * (k + 1))) for k in members]
        for model in models:
            nn.init.zeros_(model[0].weight)
            nn.init.ones_(model[0].bias)
        stack = Stack.of(models, keys=[100 + k for k in members])
        if keep is not None:
            stack.select(keep)
        stack.set_step(4)
        return stack.forward((torch.ones(6, 2),), shared=True).detach()

    alone = masks([2])[0]
    assert torch.equal(masks([0, 1, 2, 3])[2], alone)
    assert torch.equal(masks([0, 1, 2, 3], keep=[3, 2])[1], alone)
    assert not torch.equal(masks([3])[0], alone)
