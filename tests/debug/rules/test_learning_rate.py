"""`step.learning-rate-too-high` and `-too-low`: told by trials of the live loop, where the loop does not learn.

Not here: the sums, scales and penalties that explain them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from mlkit.debug import experiment
from tests.debug.live import Net, batch, found

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")


def loop(rate: float, kind: type[torch.optim.Optimizer] = torch.optim.SGD) -> Callable[[], None]:
    def program() -> None:
        net = Net()
        optimizer = kind(net.parameters(), lr=rate)  # type: ignore[call-arg]
        for _ in range(40):
            x, y = batch(32)
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()

    return program


def by_hand(rate: float) -> Callable[[], None]:
    def program() -> None:
        w = (0.1 * torch.randn(8, 3)).requires_grad_()
        for _ in range(40):
            x, y = batch(32)
            (gradient,) = torch.autograd.grad(F.mse_loss(x @ w, F.one_hot(y, 3).float()), w)
            with torch.no_grad():
                w -= rate * gradient

    return program


@pytest.mark.parametrize("program", [loop(100.0), loop(5.0, torch.optim.Adam), by_hand(30.0)])
def test_a_rate_that_makes_the_loss_grow_is_too_high(program: Callable[[], None]) -> None:
    assert found(program, "step.learning-rate-too-high", "chance")


@pytest.mark.parametrize("program", [loop(1e-4), loop(1e-6, torch.optim.Adam)])
def test_a_rate_that_moves_nothing_is_too_low(program: Callable[[], None]) -> None:
    [one] = found(program, "step.learning-rate-too-low", "chance")
    assert one.severity == "warning"
    assert one.site is not None
    assert "kind(" in one.site.source


@pytest.mark.parametrize("program", [loop(0.3), loop(1e-2, torch.optim.Adam)])
def test_a_rate_that_learns_is_not_spoken_of(program: Callable[[], None]) -> None:
    assert not found(program, "step.learning-rate-too-high", "chance")
    assert not found(program, "step.learning-rate-too-low", "chance")
