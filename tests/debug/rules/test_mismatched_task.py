"""`loss.mismatched-task`: squared error on one-hot rows that stops at the prior; the Brier score that learns is fine.

Not here: regression.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from tests.debug.live import Net, batch, found


def loop(rate: float) -> Callable[[], None]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.Adam(net.parameters(), lr=rate)
        for _ in range(40):
            x, y = batch(64)
            optimizer.zero_grad()
            F.mse_loss(net(x).sigmoid(), F.one_hot(y, 3).float()).backward()
            optimizer.step()

    return program


def test_only_a_distance_that_stops_at_the_prior_is_spoken_of() -> None:
    [one] = found(loop(1e-5), "loss.mismatched-task", "chance")
    assert "step.learning-rate-too-low" in one.explains
    assert not found(loop(3e-2), "loss.mismatched-task", "chance")
