"""Simple baselines: closed forms, the same rows as a model, and what the verdict says of models that are known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlkit
from mlkit.data.adapt import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.errors import ConfigError
from mlkit.evaluate.baselines import simple_baselines


def _two_classes(rows: int = 600) -> DataBundle:
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    return from_tensors(x, (x[:, 0] > 0.5).long())


def test_constant_answers_have_their_closed_forms() -> None:
    data = _two_classes()
    held, train = data.val.targets, data.train.targets
    found = simple_baselines(data)
    assert found.rows[0].name == "most frequent class"
    assert found.rows[0].term.value == pytest.approx(float((held != train.mode().values).double().mean()))
    share = float(train.double().mean())
    loss = simple_baselines(data, of="loss").rows[0].term.value
    expected = -float(torch.where(held == 1, math.log(share), math.log(1 - share)).double().mean())
    assert loss == pytest.approx(expected, rel=1e-6)


def test_the_mean_and_a_line_on_numbers() -> None:
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)).double()
    y = (2 * x[:, :1] - x[:, 1:2] + 1).float()
    data = from_tensors(x.float(), y)
    found = {one.name: one.term.value for one in simple_baselines(data).rows}
    held, train = data.val.targets.double(), data.train.targets.double()
    assert found["mean"] == pytest.approx(float((held - train.mean(0)).square().mean()), rel=1e-5)
    assert found["linear regression"] < 1e-4
    assert found["5 nearest neighbours"] > 0.01


def test_a_season_is_found_and_copied() -> None:
    time = torch.arange(600).float()
    wave = torch.sin(2 * math.pi * time / 7)
    windows = wave.unfold(0, 21, 1)  # 20 steps, then the next
    data = from_tensors(windows[:, :20, None].contiguous(), windows[:, 20:])
    found = {one.name: one for one in simple_baselines(data).rows}
    if "seasonal naive" not in found:  # told as another kind of input than a series
        assert data.task.input_kind != "series"
        pytest.skip("from_tensors takes these for something else than a series")
    assert found["seasonal naive"].term.value < 1e-8
    assert found["last value"].term.value > 0.1
    assert "steps before the window's end" in found["seasonal naive"].note


@pytest.mark.data
def test_pairs_of_tokens_beat_single_ones_and_have_their_closed_forms(data_root: Path) -> None:
    data = mlkit.data.load("tiny_shakespeare", root=data_root)
    found = simple_baselines(data, most_rows=2000)
    one, two = found.rows
    assert (one.name, two.name) == ("unigram frequencies", "bigram frequencies")
    assert two.term.value < one.term.value < math.log(data.task.num_outputs)


class _Knows(nn.Module):
    """Answers by the rule of the data (a product above zero), by a rougher one, always the same, or always wrongly."""

    def __init__(self, how: str, most: int) -> None:
        super().__init__()
        self.how, self.most = how, most

    def forward(self, x: Tensor) -> Tensor:
        product = x[:, 0] * x[:, 1]
        answers = {
            "right": product > 0,
            "rough": product > 0.5,
            "constant": torch.full_like(product, self.most),
            "wrong": product <= 0,
        }
        right = answers[self.how].float()
        return torch.stack([1 - right, right], 1) * 10


@pytest.mark.parametrize(
    ("how", "rows", "verdict"),
    [
        ("right", 60, "better than all"),  # too few for trees to find the rule
        ("rough", 400, "better than constant"),
        ("constant", 400, "not learning"),
        ("wrong", 400, "not learning"),
    ],
)
def test_the_verdict_on_models_that_are_known(how: str, rows: int, verdict: str) -> None:
    x = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))
    data = from_tensors(x, (x[:, 0] * x[:, 1] > 0).long())
    most = simple_baselines(data, most_rows=rows).rows[0].note
    found = simple_baselines(data, _Knows(how, int(most.split()[1].rstrip(","))), most_rows=rows)
    assert found.verdict == verdict
    if how == "rough":
        assert found.way is not None
        assert 0 < found.way < 1


def test_differences_are_paired_row_by_row() -> None:
    data = _two_classes()
    model = nn.Linear(4, 2)
    found = simple_baselines(data, model)
    for one in found.rows:
        assert one.difference is not None
        assert found.model is not None
        assert one.difference.value == pytest.approx(found.model.value - one.term.value, abs=1e-12)
        assert len(one.rows) == len(data.val)
    assert np.mean(found.rows[0].rows) == pytest.approx(found.rows[0].term.value)


@pytest.mark.parametrize("name", ["digits", "diabetes", "wine", "iris"])
def test_data_of_the_catalogue(name: str) -> None:
    found = simple_baselines(mlkit.data.load(name), split="test")
    assert not found.skipped
    assert found.best.term.value < found.rows[0].term.value
    assert max(map(len, str(found).splitlines())) <= 80
    json.dumps(found.to_dict())
    assert found.verdict is None


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda data: simple_baselines(data, split="target_val"), "no such split"),
        (lambda data: simple_baselines(mlkit.data.load("diabetes"), of="error"), "no error rate"),
    ],
)
def test_mistakes(call: Callable[[DataBundle], object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        call(_two_classes())
