"""`step.optimiser-recreated`: each step or pass anew; not for stateless descent, new folds or two stages."""

import torch
from torch.nn import functional as F

from tests.debug.live import Net, batch, found, source

CODE = "step.optimiser-recreated"


def make(model: Net, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum)


def train(*, momentum: float = 0.9, starts: int = 5, steps: int = 2, anew: bool = False) -> None:
    model = Net()
    for _ in range(starts):
        if anew:
            model.first.reset_parameters()
        optimizer = make(model, momentum)
        for _ in range(steps):
            x, y = batch()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


def test_found_at_the_line_within_the_loop() -> None:
    [finding] = found(lambda: train(), CODE)
    assert source(finding) == "optimizer = make(model, momentum)"
    [finding] = found(lambda: train(steps=1), CODE)
    assert finding.severity == "error"


def test_stateless_reset_or_two_stages_are_quiet() -> None:
    assert not found(lambda: train(momentum=0.0), CODE)
    assert not found(lambda: train(anew=True), CODE)
    assert not found(lambda: train(starts=2), CODE)
