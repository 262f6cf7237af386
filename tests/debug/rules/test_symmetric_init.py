"""`model.symmetric-init`: constant weights, in modules and functions; not output layers or gates that start at zero."""

import pytest
import torch
from torch import nn

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "model.symmetric-init"


def train(which: str, *, keeps_biases: bool = False) -> None:
    model = Net()
    for name, layer in model.named_children():
        if which in (name, "all") and isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 0.0 if which == "head" else 0.1)
            if not keeps_biases:
                nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def by_hand() -> None:
    first, last = torch.zeros(8, 12, requires_grad=True), torch.zeros(12, 3, requires_grad=True)
    for _ in range(STEPS):
        x, y = batch()
        loss = nn.functional.cross_entropy(torch.tanh(x @ first) @ last, y)
        for weight, gradient in zip((first, last), torch.autograd.grad(loss, (first, last)), strict=True):
            weight.data -= 0.1 * gradient


def test_constant_weights_are_found_at_the_line_that_writes_them() -> None:
    [finding] = found(lambda: train("all"), CODE, "symmetry")
    assert finding.severity == "error"
    assert "constant_" in source(finding)


def test_biases_that_tell_units_apart_make_it_a_warning() -> None:
    [finding] = found(lambda: train("all", keeps_biases=True), CODE, "symmetry")
    assert finding.severity == "warning"


def test_zeros_without_a_module() -> None:
    [finding] = found(by_hand, CODE, "symmetry")
    assert "torch.zeros" in source(finding)


@pytest.mark.parametrize("which", ["none", "head"])
def test_weights_that_training_parts_are_healthy(which: str) -> None:
    assert not found(lambda: train(which), CODE, "symmetry")


@pytest.mark.parametrize("constant", [True, False])
def test_factors_that_are_looked_up(constant: bool) -> None:
    def program() -> None:
        users, films = nn.Embedding(30, 6), nn.Embedding(20, 6)
        for table in (users, films):
            nn.init.constant_(table.weight, 0.1) if constant else nn.init.normal_(table.weight, std=0.1)
        optimizer = torch.optim.SGD([users.weight, films.weight], lr=0.1)
        for _ in range(STEPS):
            u, f = torch.randint(30, (64,)), torch.randint(20, (64,))
            loss = ((users(u) * films(f)).sum(1) - torch.randn(64)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert bool(found(program, CODE, "symmetry", "heads")) is constant
