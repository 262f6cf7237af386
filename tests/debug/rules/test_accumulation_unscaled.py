"""`step.accumulation-unscaled`: sums of means, micro-batches that no step uses; and what only looks like them.

Not here: gradients that are never cleared.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from mlkit.debug import experiment
from tests.debug.live import Net, batch, found

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")


def windows(scale: float, *, reduction: str = "mean") -> Callable[[], None]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(6):
            optimizer.zero_grad()
            for _ in range(4):
                x, y = batch(8)
                (F.cross_entropy(net(x), y, reduction=reduction) * scale).backward()
            optimizer.step()

    return program


def two_losses() -> None:
    net, (x, y) = Net(), batch()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(6):
        optimizer.zero_grad()
        out = net(x)
        for target in (y, y.flip(0), y, y):
            F.cross_entropy(out, target).backward(retain_graph=True)
        optimizer.step()


def leftovers(*, keep: bool) -> Callable[[], None]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(4):
            optimizer.zero_grad()
            for at in range(11):
                x, y = batch(8)
                (F.cross_entropy(net(x), y) / 4).backward()
                if at % 4 == 3 or (keep and at == 10):
                    optimizer.step()
                    optimizer.zero_grad()

    return program


def test_a_window_of_means_is_a_step_too_long() -> None:
    [one] = found(windows(1.0), "step.accumulation-unscaled", "reduction")
    assert one.evidence["backward calls a step"] == 4


@pytest.mark.parametrize("program", [windows(0.25), windows(1.0, reduction="sum"), two_losses, leftovers(keep=True)])
def test_means_of_windows_sums_and_several_losses_are_fine(program: Callable[[], None]) -> None:
    assert not found(program, "step.accumulation-unscaled", "reduction")


def test_what_does_not_fill_a_window_is_lost() -> None:
    [one] = found(leftovers(keep=False), "step.accumulation-unscaled", "reduction")
    assert one.evidence["micro-batches thrown away"] == 3
