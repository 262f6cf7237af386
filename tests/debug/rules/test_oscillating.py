"""`step.oscillating`: full batches whose loss rises again and again; the noise of batches and of dropout is not that.

Not here: losses that grow (`step.learning-rate-too-high`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mlkit.debug import experiment
from tests.debug.live import batch, found

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")


def loop(*, lr: float, momentum: float, drop: float = 0.0) -> Callable[[], None]:
    def program() -> None:
        x, y = batch(64)
        layers = [torch.nn.Linear(8, 24), torch.nn.Tanh(), torch.nn.Dropout(drop), torch.nn.Linear(24, 1)]
        net = torch.nn.Sequential(*layers)
        optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum)
        for _ in range(100):
            loss = (net(x)[:, 0] - y.float()).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return program


def test_steps_that_overshoot_on_one_batch_oscillate() -> None:
    [one] = found(loop(lr=0.2, momentum=0.99), "step.oscillating", "chance")
    assert "calms it" in one.message


def test_calm_steps_and_the_noise_of_dropout_do_not() -> None:
    assert not found(loop(lr=0.05, momentum=0.5), "step.oscillating", "chance")
    assert not found(loop(lr=0.05, momentum=0.5, drop=0.3), "step.oscillating", "chance")
