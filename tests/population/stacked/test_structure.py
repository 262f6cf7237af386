"""Members that one's code would not do for are refused (P4), with the layer and the reason."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm

from mlkit.models import lenet, mlp
from mlkit.population.stacked.errors import CannotStackError
from mlkit.population.stacked.stack import Stack
from mlkit.population.stacked.structure import check_same, same


class Own(nn.Module):
    """A user's module with flags of all kinds."""

    def __init__(self, **flags: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.residual = flags.get("residual", True)
        self.act = flags.get("act", torch.relu)
        self.table = flags.get("table", torch.arange(3))
        self.options = flags.get("options", {"scale": 1.0, "steps": [1, 2]})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.layer(x))
        return x + y if self.residual else y


def times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * factor


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (lambda: Own(residual=True), lambda: Own(residual=False), "residual"),
        (lambda: Own(act=torch.relu), lambda: Own(act=torch.tanh), "act"),
        (lambda: Own(act=times(1.0)), lambda: Own(act=times(2.0)), "act"),
        (lambda: Own(act=lambda x: x + 1), lambda: Own(act=lambda x: x + 2), "act"),
        (
            lambda: Own(act=functools.partial(torch.mul, other=2)),
            lambda: Own(act=functools.partial(torch.mul, other=3)),
            "act",
        ),
        (lambda: Own(table=torch.arange(3)), lambda: Own(table=torch.arange(3) + 1), "table"),
        (lambda: Own(options={"a": 1}), lambda: Own(options={"a": 2}), "options"),
        (lambda: mlp(4, 2, activation="relu"), lambda: mlp(4, 2, activation="tanh"), "hidden.0.activation: the class"),
        (lambda: mlp(4, 2, hidden=(8,)), lambda: mlp(4, 2, hidden=(9,)), "hidden.0.linear"),
        (lambda: mlp(4, 2, hidden=(8,)), lambda: mlp(4, 2, hidden=(8, 8)), "modules"),
        (lambda: nn.Conv2d(1, 2, 3, stride=1), lambda: nn.Conv2d(1, 2, 3, stride=2), "stride"),
        (lambda: nn.Conv2d(1, 2, 3, padding=1), lambda: nn.Conv2d(1, 2, 3, padding=0), "padding"),
        (lambda: nn.BatchNorm1d(3, momentum=0.1), lambda: nn.BatchNorm1d(3, momentum=0.2), "momentum"),
        (lambda: nn.BatchNorm1d(3, eps=1e-5), lambda: nn.BatchNorm1d(3, eps=1e-3), "eps"),
        (lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 2, bias=False), "bias"),
        (lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 2).double(), "bias"),
        (lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 2).requires_grad_(False), "bias"),
        (lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 2).eval(), "training"),
        (lambda: nn.LSTM(2, 2), lambda: nn.LSTM(2, 2, batch_first=True), "batch_first"),
        (lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2), "negative_slope"),
        (lambda: lenet(3, image_size=8), lambda: lenet(3, image_size=16), "input_shape"),
    ],
)
def test_members_that_differ_in_more_than_numbers_are_refused(
    first: Callable[[], nn.Module], second: Callable[[], nn.Module], what: str
) -> None:
    models = [first(), first(), second()]
    with pytest.raises(CannotStackError, match=what):
        check_same(models)
    with pytest.raises(CannotStackError):
        Stack.of(models, keys=range(3))
    check_same([first(), first()])


def test_rates_of_dropout_may_differ() -> None:
    check_same([nn.Sequential(nn.Dropout(p)) for p in (0.1, 0.2)])
    check_same([nn.LSTM(2, 2, 2, dropout=p) for p in (0.1, 0.2)])


def test_lambdas_made_by_each_member_are_the_same() -> None:
    check_same([Own(act=times(2.0)), Own(act=times(2.0))])
    assert same(lambda x: x + 1, lambda x: x + 1)
    assert not same(lambda x: x + 1, lambda x: x - 1)
    assert not same(1, 1.0)


def tied(share: bool) -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    if share:
        model[1].weight = model[0].weight
    return model


def test_members_that_share_weights_differently_are_refused() -> None:
    with pytest.raises(CannotStackError, match="share parameters"):
        check_same([tied(True), tied(False)])


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda *_: None)
    return model


def old_weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning):
        return nn.Sequential(weight_norm(nn.Linear(2, 2)))


class Direct(nn.Module):
    def __init__(self, *, buffer: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        if buffer:
            self.register_buffer("shift", torch.ones(2))
        else:
            self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y


class Hidden(nn.Module):
    """Keeps a second reference to a layer where nobody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.all = [self.layer]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.all[0](x)
        return y


class MyLinear(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (hooked, "0: it has hooks"),
        (old_weight_norm, "0: it has hooks"),
        (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 2))), "0: its parameters are computed"),
        (lambda: nn.Sequential(nn.LazyLinear(2)), "0: .*no shape yet|0: it has hooks"),
        (Direct, "'scale' itself"),
        (lambda: Direct(buffer=True), "'shift' itself"),
        (Hidden, "all differs"),
        (lambda: nn.Sequential(MyLinear(2, 2)), "0: MyLinear is not known"),
        (lambda: nn.Sequential(nn.Bilinear(2, 2, 2)), "0: Bilinear is not known"),
        (lambda: nn.MultiheadAttention(4, 2), "MultiheadAttention holds 'in_proj_weight' itself"),
        (lambda: nn.GRU(2, 2), "GRU is not known"),
        (lambda: nn.SyncBatchNorm(2), "SyncBatchNorm is not known"),
        (lambda: nn.BatchNorm1d(2, momentum=None), "momentum=None"),
        (lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
        (lambda: nn.LSTM(2, 4, proj_size=2), "projections"),
        (lambda: nn.Embedding(3, 2, max_norm=1.0), "max_norm"),
        (lambda: nn.Sequential(nn.Dropout2d(0.1)), "0: Dropout2d draws"),
        (lambda: nn.Sequential(nn.Softmax(0)), "0: Softmax acts on the axis of the examples"),
        (lambda: nn.Sequential(nn.Flatten(0)), "0: Flatten acts on the axis"),
    ],
)
def test_what_cannot_be_stacked_says_where_and_why(make: Callable[[], nn.Module], what: str) -> None:
    with pytest.raises(CannotStackError, match=what):
        Stack.of([make(), make()], keys=[0, 1])
