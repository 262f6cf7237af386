"""How gradients grow on their way back, where series end at different steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug.probes.gradient_growth import _from_each_end
from tests.debug.probes.data_programs import measured


def test_steps_are_counted_back_from_the_last_that_is_read() -> None:
    norms = torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0], [9.0, 1.0, 2.0, 3.0, 0.0], [4.0, 5.0, 6.0, 0.0, 0.0]])
    # The median length is three: the last three steps of each, whatever comes after them.
    expected = [(1 + 1 + 16) ** 0.5, (4 + 4 + 25) ** 0.5, (9 + 9 + 36) ** 0.5]
    assert _from_each_end(norms) == pytest.approx(expected)


def test_series_of_one_length_are_taken_as_they_are_and_a_step_without_gradient_in_between_stays() -> None:
    norms = torch.tensor([[1.0, 0.0, 3.0], [0.0, 4.0, 4.0]])
    assert _from_each_end(norms) == pytest.approx([1.0, 4.0, 5.0])


class _LastValid(nn.Module):
    """The state at the last valid step of a padded series."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(3, 16, batch_first=True, nonlinearity="relu"), nn.Linear(16, 2)
        with torch.no_grad():
            self.rnn.get_parameter("weight_hh_l0").copy_(gain * torch.eye(16))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        states, _ = self.rnn(x)
        last = (lengths - 1)[:, None, None].expand(-1, 1, 16)
        out: Tensor = self.head(states.gather(1, last).squeeze(1))
        return out


def _growth(gain: float) -> dict[str, object]:
    def program() -> None:
        torch.manual_seed(0)
        model, generator = _LastValid(gain), torch.Generator().manual_seed(1)
        x = torch.randn(32, 40, 3, generator=generator)
        lengths = torch.randint(12, 31, (32,), generator=generator)  # of forty steps, none reads the last ten
        x = x * (torch.arange(40) < lengths[:, None])[..., None]
        sgd = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(2):
            loss = F.cross_entropy(model(x, lengths), torch.arange(32) % 2)
            sgd.zero_grad()
            torch.autograd.backward(loss)
            sgd.step()

    return dict(measured(program, "gradient_growth"))


def test_padding_is_no_growth() -> None:
    found = _growth(0.9)
    assert isinstance(found["growth"], float)
    assert found["growth"] < 1


def test_growth_in_padded_series_is_found() -> None:
    found = _growth(2.0)
    assert isinstance(found["growth"], float)
    assert 100 < found["growth"] < 1e9
    assert found["along"] == "time steps"
