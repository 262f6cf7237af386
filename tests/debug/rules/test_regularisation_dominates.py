"""`step.regularisation-dominates`: decay, told by a trial, and penalties within the loss, told by their gradient.

Not here: terms that depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from mlkit.debug import experiment
from tests.debug.live import Net, batch, found

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")
CODE = "step.regularisation-dominates"


def loop(
    *, decay: float = 0.0, penalty: float = 0.0, kind: type[torch.optim.Optimizer] = torch.optim.SGD
) -> Callable[[], None]:
    def program() -> None:
        net = Net()
        rate = 0.2 if kind is torch.optim.SGD else 0.02
        optimizer = kind(net.parameters(), lr=rate, weight_decay=decay)  # type: ignore[call-arg]
        for _ in range(80):
            x, y = batch(64)
            loss = F.cross_entropy(net(x), y)
            if penalty:
                loss = loss + penalty * sum(one.square().sum() for one in net.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return program


@pytest.mark.parametrize("program", [loop(decay=1.0), loop(decay=1.0, kind=torch.optim.Adam), loop(penalty=0.5)])
def test_too_strong_a_pull_to_zero(program: Callable[[], None]) -> None:
    [one] = found(program, CODE, "chance", "penalty")
    assert one.severity == "error"


@pytest.mark.parametrize("program", [loop(decay=1e-3), loop(penalty=1e-4), loop(decay=0.01, kind=torch.optim.AdamW)])
def test_usual_strengths(program: Callable[[], None]) -> None:
    assert not found(program, CODE, "chance", "penalty")
