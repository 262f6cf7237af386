"""`step.frozen-parameter-optimised`: an optimiser of frozen weights only; not of frozen features beside a head."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.frozen-parameter-optimised"


def train(frozen: tuple[str, ...], *, only_head: bool) -> None:
    model = Net()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(frozen)
    optimizer = torch.optim.Adam(model.head.parameters() if only_head else model.parameters())
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_all_that_is_held_is_frozen() -> None:
    [finding] = found(lambda: train(("second", "head"), only_head=True), CODE)
    assert source(finding).startswith("optimizer = ")


def test_everything_is_frozen_and_backward_raises() -> None:
    [finding] = found(lambda: train(("first", "second", "head"), only_head=False), CODE, "reach")
    assert "backward" in finding.message


def test_frozen_features_are_quiet() -> None:
    assert not found(lambda: train(("first", "second"), only_head=False), CODE, "reach")
    assert not found(lambda: train(("first", "second"), only_head=True), CODE, "reach")


def test_gradients_put_in_by_hand_are_quiet() -> None:
    def evolution() -> None:
        model = nn.Linear(8, 3).requires_grad_(False)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()

    assert not found(evolution, CODE)
