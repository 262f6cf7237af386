"""`loss.reduction-scale`: a sum with a step size for a mean; sums whose step size fits are left alone.

Not here: sums over accumulated micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mlkit.debug import experiment
from tests.debug.live import Net, batch, found

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")


def loop(rate: float, *, mean: bool = False) -> Callable[[], None]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        for _ in range(40):
            x, y = batch(64)
            losses = -net(x).log_softmax(1)[torch.arange(64), y]
            optimizer.zero_grad()
            (losses.mean() if mean else losses.sum()).backward()
            optimizer.step()

    return program


def test_a_sum_with_the_step_size_of_a_mean() -> None:
    [one] = found(loop(1.0), "loss.reduction-scale", "chance", "reduction")
    assert one.evidence["what they count together"] == 64.0
    assert "step.learning-rate-too-high" in one.explains


@pytest.mark.parametrize("program", [loop(0.005), loop(0.3, mean=True), loop(200.0, mean=True)])
def test_sums_that_fit_and_means(program: Callable[[], None]) -> None:
    assert not found(program, "loss.reduction-scale", "chance", "reduction")
