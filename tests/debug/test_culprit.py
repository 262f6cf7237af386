"""The op that first makes numbers not finite: forwards, backwards, and later in a run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlkit.debug.watching import Watch

CASES = {
    "numeric.non-finite-gradient": lambda h: h.square().sum(1).sub(h.square().sum(1).detach()).abs().sqrt().mean(),
    "numeric.non-finite-loss": lambda h: (h - h).sum(1).log().mean(),
}


@pytest.mark.parametrize("code", sorted(CASES))
def test_the_op_is_named_with_its_line(code: str) -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch() as watch:
        for _ in range(4):
            loss = CASES[code](model(torch.randn(8, 4)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    first = watch.report.findings[0]
    assert first.code == code
    assert first.severity == "error"
    assert first.evidence["op"] == {"numeric.non-finite-gradient": "sqrt", "numeric.non-finite-loss": "log"}[code]
    assert first.site is not None
    assert first.site.file == __file__


def test_a_nan_many_steps_later_is_found_by_going_back_in_time() -> None:
    weight = torch.full((1,), 3.0, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1e-4)
    with Watch() as watch:
        for left in range(30, -3, -1):  # the argument falls to zero
            loss = (weight * left).log().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    located = watch._session.facts.trials["locate"]
    assert located["op"] == "log"
    assert located["index"] == 30


def test_a_mask_of_minus_infinity_before_a_softmax_is_not_at_fault() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Watch() as watch:
        for _ in range(4):
            scores = model(torch.randn(8, 4)).masked_fill(torch.eye(8, 3).bool(), float("-inf"))
            loss = (scores.softmax(1) * torch.randn(3)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert not [one for one in watch.report.findings if one.code.startswith("numeric")]
