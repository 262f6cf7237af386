"""`loss.target-scale`: large raw targets that training does not reach; large ones that it does are left alone.

Not here: inputs that are not scaled.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.debug.live import found


def loop(kind: type[torch.optim.Optimizer], *, scaled: bool = False, bias: bool = False) -> Callable[[], None]:
    def program() -> None:
        x = torch.randn(64, 8)
        y = 2e5 + 5e4 * x[:, 0]
        net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
        if bias:
            nn.init.constant_(net[2].bias, 2e5)  # type: ignore[arg-type]
        optimizer = kind(net.parameters(), lr=0.02 if not bias else 500.0)  # type: ignore[call-arg]
        for _ in range(40):
            target = (y - y.mean()) / y.std() if scaled else y
            optimizer.zero_grad()
            F.mse_loss(net(x)[:, 0], target).backward()
            optimizer.step()

    return program


def test_targets_that_training_does_not_reach() -> None:
    [far] = found(loop(torch.optim.Adam), "loss.target-scale", "chance")
    [mean] = found(loop(torch.optim.SGD), "loss.target-scale", "chance")  # gets to the mean, and no further
    assert (far.severity, mean.severity) == ("error", "warning")


def test_scaled_targets_and_raw_ones_with_a_matching_model() -> None:
    assert not found(loop(torch.optim.Adam, scaled=True), "loss.target-scale", "chance")
    assert not found(loop(torch.optim.Adam, bias=True), "loss.target-scale", "chance")
