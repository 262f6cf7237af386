"""`step.schedule-mistimed`: the wrong rhythm either way, for schedules with a horizon and without, and the right one.

Not here: whether the rate itself fits.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler as schedules

from mlkit.debug import experiment
from tests.debug.live import Net, batch, found

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")

EPOCHS, BATCHES = 5, 16
Make = Callable[[torch.optim.Optimizer], schedules.LRScheduler]


def loop(make: Make, *, each: str) -> Callable[[], None]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        schedule = make(optimizer)
        for _ in range(EPOCHS):
            for _ in range(BATCHES):
                x, y = batch(8)
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                if each == "batch":
                    schedule.step()
            if each == "epoch":
                schedule.step()

    return program


def ramp(step: int) -> float:
    """A warm-up of thirty steps, then down to zero: a lambda, so no setting tells its length."""
    return min((step + 1) / 30, max(0.0, 1 - step / (EPOCHS * BATCHES)))


FOR_EPOCHS: list[Make] = [
    lambda optimizer: schedules.StepLR(optimizer, 3, 0.1),
    lambda optimizer: schedules.ExponentialLR(optimizer, 0.6),
    lambda optimizer: schedules.MultiStepLR(optimizer, [2, 4], 0.01),
    lambda optimizer: schedules.CosineAnnealingLR(optimizer, EPOCHS),
]
FOR_BATCHES: list[Make] = [
    lambda optimizer: schedules.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * BATCHES),
    lambda optimizer: schedules.CosineAnnealingLR(optimizer, EPOCHS * BATCHES),
    lambda optimizer: schedules.LambdaLR(optimizer, ramp),
]


@pytest.mark.parametrize("make", FOR_EPOCHS)
def test_schedules_for_epochs_belong_behind_the_epoch(make: Make) -> None:
    [one] = found(loop(make, each="batch"), "step.schedule-mistimed", "chance")
    assert one.site is not None
    assert one.site.source == "schedule.step()"
    assert not found(loop(make, each="epoch"), "step.schedule-mistimed", "chance")


@pytest.mark.parametrize("make", FOR_BATCHES)
def test_schedules_for_batches_belong_behind_the_step(make: Make) -> None:
    [one] = found(loop(make, each="epoch"), "step.schedule-mistimed", "chance")
    assert one.site is not None
    assert one.site.source == "schedule.step()"
    assert not found(loop(make, each="batch"), "step.schedule-mistimed", "chance")
