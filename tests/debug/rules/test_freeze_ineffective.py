"""`step.freeze-ineffective`: flags that nobody reads, frozen weights that momentum moves; not a freeze that works."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.freeze-ineffective"


def steps(model: Net, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad(set_to_none=False)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def flag_of_module(model: Net) -> None:
    model.first.requires_grad = False


def misspelt(model: Net) -> None:
    for parameter in model.first.parameters():
        parameter.require_grad = False  # type: ignore[attr-defined]


def flag_of_state(model: Net) -> None:
    for value in model.first.state_dict().values():
        value.requires_grad = False


def works(model: Net) -> None:
    model.first.requires_grad_(False)


def train(freeze: Callable[[Net], None]) -> None:
    model = Net()
    freeze(model)
    steps(model, torch.optim.Adam(model.parameters()))


@pytest.mark.parametrize("freeze", [flag_of_module, misspelt, flag_of_state])
def test_flags_that_nobody_reads(freeze: Callable[[Net], None]) -> None:
    [finding] = found(lambda: train(freeze), CODE, "reach")
    assert finding.severity == "error"
    assert "= False" in source(finding)
    assert "Net.first" in finding.message


def test_momentum_moves_what_is_frozen() -> None:
    def frozen_later(*, none: bool) -> None:
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        steps(model, optimizer)
        for parameter in model.first.parameters():
            parameter.requires_grad = False
            if none:
                parameter.grad = None
        steps(model, optimizer)

    assert found(lambda: frozen_later(none=False), CODE)
    assert not found(lambda: frozen_later(none=True), CODE)


def test_a_freeze_that_works_is_quiet() -> None:
    assert not found(lambda: train(works), CODE, "reach")
