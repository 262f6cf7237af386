"""`numeric.exploding-gradient`: through the steps of a loop and through time; recurrent weights of norm one are fine.

Not here: vanishing gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.debug.live import found


class Loop(nn.Module):
    """A cell written by hand."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(16, 16), gain=gain))
        self.out = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 16)
        for at in range(x.shape[1]):
            state = torch.tanh(0.05 * x[:, at] + state @ self.weight)
        return self.out(state)


class Layer(nn.Module):
    """PyTorch's layer, whose steps no one sees."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.layer = nn.RNN(1, 16, nonlinearity="relu", batch_first=True)
        nn.init.orthogonal_(self.layer.weight_hh_l0, gain=gain)
        self.out = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x)[0][:, -1])


def loop(kind: type[nn.Module], gain: float) -> Callable[[], None]:
    def program() -> None:
        net = kind(gain)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(12):
            x = torch.randn(8, 40, 1)
            optimizer.zero_grad()
            F.mse_loss(net(x), x.mean(1)).backward()
            optimizer.step()

    return program


@pytest.mark.parametrize("program", [loop(Loop, 3.0), loop(Layer, 2.5)])
def test_a_gradient_that_grows_back_through_the_steps(program: Callable[[], None]) -> None:
    [one] = found(program, "numeric.exploding-gradient", "gradient_growth")
    assert one.evidence["steps"] == 40


@pytest.mark.parametrize("program", [loop(Loop, 1.0), loop(Layer, 1.0)])
def test_recurrent_weights_of_norm_one(program: Callable[[], None]) -> None:
    assert not found(program, "numeric.exploding-gradient", "gradient_growth")
