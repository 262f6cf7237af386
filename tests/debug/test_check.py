from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mlkit
from mlkit.debug.questions import Curve, parse, spark
from mlkit.errors import ConfigError, DataError


def test_a_preflight_finds_a_bug_and_changes_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(model.parameters())
    before = [one.clone() for one in model.parameters()]
    stream = torch.get_rng_state()
    report = mlkit.check(
        model, (torch.ones(64, 4), torch.arange(64) % 3), loss_fn=nn.CrossEntropyLoss(), optimizer=optimizer
    )
    assert "loss.probabilities-into-cross-entropy" in [one.code for one in report.findings]
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert all(one.grad is None for one in model.parameters())
    assert optimizer.state == {}
    assert torch.equal(stream, torch.get_rng_state())
    assert model.training


def test_a_preflight_takes_a_loader_and_tells_what_fails() -> None:
    data = TensorDataset(torch.randn(64, 4), torch.randint(3, (64,)))
    report = mlkit.check(nn.Linear(5, 3), DataLoader(data, 16), loss_fn=nn.CrossEntropyLoss())
    assert report.findings[0].code == "shape.mismatch"
    with pytest.raises(DataError, match="not a pair"):
        mlkit.check(nn.Linear(4, 3), [{"x": 1}], loss_fn=nn.CrossEntropyLoss())


@pytest.mark.parametrize("text", ["lr", "lr*x", "lr*-1", "batch=3", ""])
def test_a_question_that_cannot_be_asked_is_refused_with_what_can(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed: .*lr"):
        parse(text)


def test_the_answer_to_a_question_is_a_curve_beside_its_control() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    x = torch.randn(64, 4)
    y = x.sum(1, keepdim=True)
    with mlkit.Watch(questions=[parse("lr*0")]) as watch:
        losses = []
        for _ in range(30):
            loss = (model(x) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    control, frozen = watch.report.curves
    assert list(control.losses[:30]) == losses
    assert set(frozen.losses) == {losses[0]}


def test_a_curve_says_how_far_it_fell() -> None:
    assert "50.0% of the first" in Curve("nothing", (2.0, *(1.0,) * 20)).verdict
    assert spark([1.0, float("nan"), 1.0]) == "▁×▁"
