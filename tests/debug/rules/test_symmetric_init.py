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
