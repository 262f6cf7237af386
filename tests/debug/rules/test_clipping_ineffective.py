"""`step.clipping-ineffective`: before backward, and on scaled gradients; right places, and two networks in turn.

Not here: gradients that would need clipping.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.debug.live import STEPS, Net, batch, found

CODE = "step.clipping-ineffective"


def loop(order: str) -> Callable[[], None]:
    """Letters: b(ackward), c(lip), s(cale the loss by 1024 and undo it after), z(ero)."""

    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(STEPS):
            x, y = batch()
            loss = F.cross_entropy(net(x), y)
            for letter in order:
                if letter == "b":
                    (loss * 1024 if "u" in order else loss).backward()
                elif letter == "c":
                    nn.utils.clip_grad_norm_(net.parameters(), 0.01)
                elif letter == "z":
                    optimizer.zero_grad()
                elif letter == "u":
                    for one in net.parameters():
                        assert one.grad is not None
                        one.grad /= 1024
            optimizer.step()

    return program


def adversaries() -> None:
    left, right = Net(), Net()
    first, second = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (left, right))
    for _ in range(STEPS):
        x, y = batch()
        for net, optimizer in ((left, first), (right, second)):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.01)
        first.step()
        second.step()


def test_a_clip_before_backward_bounds_nothing() -> None:
    for order in ("zcb", "czb"):
        [one] = found(loop(order), CODE)
        assert one.severity == "error"
        assert one.site is not None
        assert "clip_grad" in one.site.source


def test_a_clip_of_scaled_gradients_bounds_far_too_much() -> None:
    [one] = found(loop("zbcu"), CODE)
    assert one.evidence["scale"] == 1024.0


def test_clips_after_backward_and_after_unscaling_are_right() -> None:
    for order in ("zbc", "zbuc"):
        assert not found(loop(order), CODE)
    assert not found(adversaries, CODE)
