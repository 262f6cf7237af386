from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest
import torch
from torch import nn

import mlkit.evaluate as ev
from mlkit.data.adapt import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.engine.fit import fit
from mlkit.errors import ConfigError


@pytest.fixture
def bundle() -> DataBundle:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=draw)
    return from_tensors(x, (x[:, 0] + 0.5 * torch.randn(300, generator=draw) > 0).long())


def test_the_name_is_the_function_even_after_its_module_was_imported() -> None:
    import_module("mlkit.evaluate.ladder_of")
    assert callable(ev.ladder_of)
    assert [name for name in ev.__all__ if isinstance(getattr(ev, name), ModuleType)] == []


def test_it_is_the_error_that_the_metrics_tell(bundle: DataBundle) -> None:
    result = fit(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2)), bundle, max_epochs=3, device="cpu")
    ladder = ev.ladder_of(result, bundle, human=0.05)
    train, val = (1 - result.metrics[name]["accuracy"].value for name in ("train", "val"))
    assert ladder.term("avoidable bias").value == pytest.approx(train - 0.05, abs=1e-6)
    assert ladder.total.value == pytest.approx(val, abs=1e-6)
    assert ladder.counts["train"] == len(bundle.train)
    losses = ev.ladder_of(result, bundle, of="loss")
    assert losses.total.value == pytest.approx(result.metrics["val"]["loss"].value, rel=1e-5)
    assert not losses.is_rate


def test_the_model_is_left_as_it_is_found(bundle: DataBundle) -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = ev.ladder_of(model, bundle), ev.ladder_of(model, bundle)
    assert first.to_dict() == again.to_dict()
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_numbers_have_a_loss_and_no_error_rate() -> None:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
    bundle = from_tensors(x, x.sum(1, keepdim=True))
    assert not ev.ladder_of(nn.Linear(3, 1), bundle).is_rate
    with pytest.raises(ConfigError, match="regression has no error rate"):
        ev.ladder_of(nn.Linear(3, 1), bundle, of="error")
