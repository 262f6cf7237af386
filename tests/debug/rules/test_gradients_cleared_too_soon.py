"""`step.gradients-cleared-too-soon`: before the step, or within a window; not where gradients were read."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.gradients-cleared-too-soon"


def before_the_step(*, by_hand: bool) -> None:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(STEPS):
        x, y = batch()
        F.cross_entropy(model(x), y).backward()
        if by_hand:
            for parameter in model.parameters():
                parameter.grad = None
        else:
            optimizer.zero_grad()
        optimizer.step()


def window(clear_at: str) -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4 * STEPS):
        x, y = batch()
        if clear_at == "batch":
            optimizer.zero_grad()
        (F.cross_entropy(model(x), y) / 4).backward()
        if step % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()


def each_sample_clipped() -> None:
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        x, y = batch(4)
        total = [torch.zeros_like(one) for one in model.parameters()]
        for row in range(4):
            model.zero_grad()
            F.cross_entropy(model(x[row : row + 1]), y[row : row + 1]).backward()
            for sum_, one in zip(total, model.parameters(), strict=True):
                assert one.grad is not None
                sum_ += one.grad / (1 + one.grad.norm())
        for sum_, one in zip(total, model.parameters(), strict=True):
            one.grad = sum_
        optimizer.step()


def sharpness_aware() -> None:
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def gradient(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()

    for _ in range(STEPS):
        x, y = batch()
        gradient(x, y)
        with torch.no_grad():
            moves = [0.05 * one.grad for one in model.parameters() if one.grad is not None]
            for one, move in zip(model.parameters(), moves, strict=True):
                one.add_(move)
        gradient(x, y)
        with torch.no_grad():
            for one, move in zip(model.parameters(), moves, strict=True):
                one.sub_(move)
        optimizer.step()


def test_between_backward_and_step() -> None:
    [finding] = found(lambda: before_the_step(by_hand=False), CODE)
    assert source(finding) == "optimizer.zero_grad()"
    [finding] = found(lambda: before_the_step(by_hand=True), CODE)
    assert source(finding) == "parameter.grad = None"


def test_within_the_window() -> None:
    [finding] = found(lambda: window("batch"), CODE)
    assert source(finding) == "optimizer.zero_grad()"
    assert finding.evidence["of them thrown away"] == 3
    assert not found(lambda: window("window"), CODE)


def test_gradients_that_were_read_or_weights_that_moved_are_quiet() -> None:
    assert not found(each_sample_clipped, CODE)
    assert not found(sharpness_aware, CODE)
