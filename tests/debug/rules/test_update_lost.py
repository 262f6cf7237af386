"""`step.update-lost`: copies, other models, missing steps, new tensors; not baselines or averages."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.update-lost"


def copied(*, evaluates: str, averages: bool = False) -> None:
    model = Net()
    trained = copy.deepcopy(model)
    optimizer = torch.optim.Adam(trained.parameters())
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(trained(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            if averages:
                for one, other in zip(model.parameters(), trained.parameters(), strict=True):
                    one.lerp_(other, 0.5)
            for name, one in (("original", model), ("copy", trained)):
                if name in evaluates:
                    one(x)


def other_model(*, right: bool) -> None:
    model, old = Net(), Net()
    optimizer = torch.optim.Adam((model if right else old).parameters())
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def never_stepped() -> None:
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(9):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()


def by_hand(*, in_place: bool) -> None:
    weight = torch.randn(8, 3, requires_grad=True)
    for _ in range(STEPS):
        x, y = batch()
        (gradient,) = torch.autograd.grad(F.cross_entropy(x @ weight, y), weight)
        if in_place:
            weight = (weight - 0.1 * gradient).detach().requires_grad_()
        else:
            weight.grad = gradient
            _ = weight - 0.1 * weight.grad


def test_the_copy_is_trained_and_the_original_evaluated() -> None:
    [finding] = found(lambda: copied(evaluates="original"), CODE)
    assert source(finding) == "trained = copy.deepcopy(model)"
    assert not found(lambda: copied(evaluates="original, copy"), CODE)
    assert not found(lambda: copied(evaluates="original", averages=True), CODE)


def test_an_optimiser_of_another_model() -> None:
    [finding] = found(lambda: other_model(right=False), CODE, "reach")
    assert source(finding).startswith("optimizer = ")
    assert not found(lambda: other_model(right=True), CODE, "reach")


def test_no_step_at_all() -> None:
    assert found(never_stepped, CODE, "reach")


def test_a_new_tensor_that_nobody_uses() -> None:
    [finding] = found(lambda: by_hand(in_place=False), CODE)
    assert source(finding) == "_ = weight - 0.1 * weight.grad"
    assert not found(lambda: by_hand(in_place=True), CODE)


@pytest.mark.parametrize("own", [True, False])
def test_weights_of_a_functional_call_and_those_of_the_module(own: bool) -> None:
    def program() -> None:
        net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))
        weights = {name: one.detach().clone().requires_grad_() for name, one in net.named_parameters()}
        optimizer = torch.optim.SGD(list(weights.values()), lr=0.1)
        for _ in range(STEPS):
            x, y = batch()
            loss = F.cross_entropy(torch.func.functional_call(net, weights, (x,)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                net(x) if own else torch.func.functional_call(net, weights, (x,))

    findings = found(program, CODE, "reach")
    assert [one.code for one in findings] == ([CODE] if own else [])
