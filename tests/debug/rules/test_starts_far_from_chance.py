"""`loss.starts-far-from-chance`: against what the labels of the batch allow, not against ln C.

Not here: why.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mlkit.debug.rules.starts_far_from_chance import check
from tests.debug.live import STEPS, Net, batch, observed


def severities(scale: float) -> list[str]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(STEPS):
            x, y = batch()
            optimizer.zero_grad()
            F.cross_entropy(net(x * scale), y).backward()
            optimizer.step()

    return [one.severity for one in check(observed(program, "chance"))]


def test_a_first_loss_far_above_chance_is_worth_knowing() -> None:
    assert severities(300.0) == ["info"]
    assert severities(1.0) == []
