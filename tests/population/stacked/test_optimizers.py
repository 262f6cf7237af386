from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlkit.engine.optimizers import make_optimizer
from mlkit.errors import CheckpointError, ConfigError
from mlkit.population.stacked import optimizers
from mlkit.population.stacked.clipping import clip_
from mlkit.population.stacked.optimizers import StackedOptimizer, choose_way
from mlkit.population.stacked.settings import OptimizerSettings
from mlkit.population.stacked.stack import Stack

SIZE, STEPS = 4, 40


def models(size: int = SIZE) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)).double() for k in range(size)]


def variants(name: str, kind: str) -> list[OptimizerSettings]:
    """Members that share all numbers, that differ in rate and decay, or in everything."""

    def one(k: int) -> OptimizerSettings:
        if kind == "same":
            return OptimizerSettings(name=name, lr=0.01, weight_decay=0.1, nesterov=True)  # type: ignore[arg-type]
        more: dict[str, Any] = {}
        if kind == "all":
            more = {"betas": (0.8 + 0.03 * k, 0.99 + 0.002 * k), "eps": 10.0 ** (-4 - k), "momentum": 0.5 + 0.1 * k}
        return OptimizerSettings(name=name, lr=0.003 * (k + 1), weight_decay=0.1 * k, **more)  # type: ignore[arg-type]

    return [one(k) for k in range(SIZE)]


def gradients(step: int, like: dict[str, Tensor]) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(step)
    return {name: torch.randn(p.shape, generator=stream, dtype=p.dtype) for name, p in like.items()}


def factor(k: int, step: int) -> float:
    return math.cos(step / STEPS) * (1 + 0.1 * k)


@pytest.mark.parametrize("large", [0, 10**9], ids=["rows", "direction"])
@pytest.mark.parametrize("kind", ["same", "rates", "all"])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_members_equal_torchs_own_optimisers(name: str, kind: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decay, schedules and clipping of their own; a member that stops keeps what it has."""
    monkeypatch.setattr(optimizers, "LARGE", large)
    alone, ones = models(), variants(name, kind)
    stack = Stack.of(alone, keys=range(SIZE))
    optimizer = StackedOptimizer(stack, ones)
    torchs = [
        make_optimizer(model, **{entry.name: getattr(one, entry.name) for entry in fields(one)})
        for model, one in zip(alone, ones, strict=True)
    ]
    limits = torch.tensor([1.0, 3.0, math.inf, 0.1])
    active = torch.ones(SIZE, dtype=torch.bool)
    for step in range(STEPS):
        active[1] = step < STEPS // 2
        given = gradients(step, stack.parameters)
        for k, model in enumerate(alone):
            for parameter_name, parameter in model.named_parameters():
                parameter.grad = given[parameter_name][k].clone()
            nn.utils.clip_grad_norm_(model.parameters(), float(limits[k]))
            for group in torchs[k].param_groups:
                group["lr"] = ones[k].lr * factor(k, step)
            if active[k]:
                torchs[k].step()
        clip_(given, limits)
        factors = torch.tensor([factor(k, step) for k in range(SIZE)], dtype=torch.float64)
        optimizer.step(given, factors=factors, active=active)
    for k, model in enumerate(alone):
        for parameter_name, parameter in model.named_parameters():
            torch.testing.assert_close(stack.parameters[parameter_name][k], parameter, rtol=1e-11, atol=1e-12)
        state = optimizer.state_of(k)
        for parameter_name, parameter in model.named_parameters():
            for key, value in torchs[k].state[parameter].items():
                if value.ndim or active[k]:
                    torch.testing.assert_close(
                        state[parameter_name][key], value, rtol=1e-11, atol=1e-12, check_dtype=False
                    )


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("kind", ["same", "rates", "all"])
def test_nothing_of_a_frozen_member_moves_whatever_its_gradient_is(name: str, kind: str) -> None:
    stack = Stack.of(models(), keys=range(SIZE))
    optimizer = StackedOptimizer(stack, variants(name, kind))
    everyone = torch.ones(SIZE, dtype=torch.bool)
    optimizer.step(gradients(0, stack.parameters), factors=torch.ones(SIZE), active=everyone)
    before, moments = stack.state_dict_of(2), optimizer.state_of(2)
    ill = gradients(1, stack.parameters)
    for gradient in ill.values():
        gradient[2] = math.nan
    optimizer.step(ill, factors=torch.ones(SIZE), active=torch.tensor([True, True, False, True]))
    after = optimizer.state_of(2)
    assert all(torch.equal(before[key], stack.state_dict_of(2)[key]) for key in before)
    for parameter, state in moments.items():
        assert all(torch.equal(state[key], after[parameter][key]) for key in state if key != "step")
    assert all(bool(p[[0, 1, 3]].isfinite().all()) for p in stack.parameters.values())


def test_parameters_without_gradient_are_left_alone() -> None:
    stack = Stack.of(models(), keys=range(SIZE))
    optimizer = StackedOptimizer(stack, variants("adamw", "rates"))
    before = {name: p.detach().clone() for name, p in stack.parameters.items()}
    given = gradients(0, stack.parameters)
    del given["0.weight"]
    optimizer.step(given, factors=torch.ones(SIZE), active=torch.ones(SIZE, dtype=torch.bool))
    moved = {name for name, p in stack.parameters.items() if not torch.equal(before[name], p)}
    assert moved == set(given)
    assert float(optimizer.steps["0.weight"]) == 0


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_state_goes_on_as_if_never_left(name: str) -> None:
    def prepared() -> tuple[Stack, StackedOptimizer]:
        stack = Stack.of(models(), keys=range(SIZE))
        return stack, StackedOptimizer(stack, variants(name, "rates"))

    def go(stack: Stack, optimizer: StackedOptimizer, steps: Sequence[int]) -> None:
        for step in steps:
            optimizer.step(
                gradients(step, stack.parameters), factors=torch.ones(SIZE), active=torch.ones(SIZE, dtype=torch.bool)
            )

    through, (stack, optimizer) = prepared(), prepared()
    go(*through, range(6))
    go(stack, optimizer, range(3))
    saved = stack.state(), optimizer.state()
    again, resumed = prepared()
    again.load_state(saved[0])
    resumed.load_state(saved[1])
    go(again, resumed, range(3, 6))
    assert all(torch.equal(again.parameters[n], through[0].parameters[n]) for n in again.parameters)
    with pytest.raises(CheckpointError):
        resumed.load_state({key: value for key, value in saved[1].items() if not key.startswith("step")})


def test_select_keeps_settings_and_moments() -> None:
    stack = Stack.of(models(), keys=range(SIZE))
    optimizer = StackedOptimizer(stack, variants("adam", "rates"))
    optimizer.step(gradients(0, stack.parameters), factors=torch.ones(SIZE), active=torch.ones(SIZE, dtype=torch.bool))
    kept = optimizer.state_of(3)
    stack.select([3, 1])
    optimizer.select([3, 1])
    assert [one.lr for one in optimizer.settings] == pytest.approx([0.012, 0.006])
    for parameter, state in optimizer.state_of(0).items():
        assert all(torch.equal(value, kept[parameter][key]) for key, value in state.items())


@pytest.mark.parametrize(
    ("ones", "large", "way"),
    [
        ([OptimizerSettings()] * 2, 10, "together"),
        ([OptimizerSettings(lr=0.1), OptimizerSettings(lr=0.2)], 10, "direction"),
        ([OptimizerSettings(lr=0.1), OptimizerSettings(lr=0.2)], 10**6, "rows"),
        ([OptimizerSettings(weight_decay=0.1), OptimizerSettings()], 10, "direction"),
        ([OptimizerSettings(eps=0.1), OptimizerSettings()], 10, "rows"),
        ([OptimizerSettings(name="sgd", momentum=0.1), OptimizerSettings(name="sgd")], 10, "direction"),
    ],
)
def test_the_way_follows_from_what_differs(ones: list[OptimizerSettings], large: int, way: str) -> None:
    assert choose_way(ones, large, "cpu") == way


def test_families_are_not_mixed_and_numbers_are_checked() -> None:
    stack = Stack.of(models(2), keys=range(2))
    with pytest.raises(ConfigError, match="different optimisers"):
        StackedOptimizer(stack, [OptimizerSettings(name="adam"), OptimizerSettings(name="sgd")])
    with pytest.raises(ConfigError, match="different optimisers"):
        StackedOptimizer(stack, [OptimizerSettings(name="sgd", nesterov=nesterov) for nesterov in (True, False)])
    with pytest.raises(ConfigError, match="learning rate"):
        StackedOptimizer(stack, [OptimizerSettings(lr=-1.0)] * 2)
    with pytest.raises(ConfigError, match="one setting a member"):
        StackedOptimizer(stack, [OptimizerSettings()])
