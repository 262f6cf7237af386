"""`step.parameter-not-optimised`: forgotten, replaced or thawed layers; not features that were trained before."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.parameter-not-optimised"


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int = STEPS) -> None:
    for _ in range(count):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def forgotten() -> None:
    model = Net()
    optimizer = torch.optim.Adam([{"params": model.second.parameters()}, {"params": model.head.parameters()}])
    steps(model, optimizer)


def fine_tuned(order: Literal["optimiser first", "layer first", "head only"]) -> None:
    model = Net()
    steps(model, torch.optim.Adam(model.parameters()))
    if order == "optimiser first":
        optimizer = torch.optim.Adam(model.parameters())
    model.head = nn.Linear(12, 3)
    if order != "optimiser first":
        optimizer = torch.optim.Adam(model.parameters() if order == "layer first" else model.head.parameters())
    steps(model, optimizer)


def image() -> None:
    model, picture = Net(), torch.randn(16, 8, requires_grad=True)
    optimizer = torch.optim.Adam([picture])
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(picture), torch.zeros(16, dtype=torch.long)).backward()
        optimizer.step()


def test_a_forgotten_part() -> None:
    [finding] = found(forgotten, CODE)
    assert finding.severity == "error"
    assert "Net.first" in finding.message
    assert source(finding).startswith("optimizer = torch.optim.Adam([")


def test_a_layer_put_in_after_the_optimiser_was_made() -> None:
    [finding] = found(lambda: fine_tuned("optimiser first"), CODE)
    assert finding.severity == "error"
    assert "Net.head" in finding.message


def test_trained_features_and_optimised_inputs_are_quiet() -> None:
    assert not found(lambda: fine_tuned("layer first"), CODE)
    assert not found(lambda: fine_tuned("head only"), CODE)
    assert not found(image, CODE)
