"""Parity: planted slips are located and named, and nothing is where there is none."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18, resnet50

import mlkit
from mlkit import models
from mlkit.debug.parity import compare_models
from mlkit.errors import ModelError
from tests.debug.parity.slips import SLIPS, Slip, planted, reference_of

IMAGES = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
VECTORS = torch.randn(16, 6, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    torch.manual_seed(0)
    return reference_of(resnet18(num_classes=10))


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.name)
def test_a_planted_slip_is_located_and_named(reference: nn.Module, slip: Slip) -> None:
    report = compare_models(planted(reference, slip), reference, IMAGES)
    found = report.departure
    assert found is not None
    assert (found.stage, found.module) == (slip.stage, slip.module)
    assert found.how is not None
    assert slip.how in found.how
    assert found.proven
    assert report.verdict == "departs"
    assert max(map(len, str(report).splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("slip", [SLIPS[0], SLIPS[2], SLIPS[9], SLIPS[-1]], ids=lambda slip: slip.name)
def test_slips_in_a_deeper_network(slip: Slip) -> None:
    torch.manual_seed(0)
    reference = reference_of(resnet50(num_classes=10))
    found = compare_models(planted(reference, slip), reference, IMAGES, steps=0).departure
    assert found is not None
    assert (found.stage, found.module, found.proven) == (slip.stage, slip.module, True)


@pytest.mark.parametrize("form", ["plain", "channels last", "bfloat16", "float16", "double", "compiled"])
def test_the_same_in_another_form_is_no_departure(reference: nn.Module, form: str) -> None:
    mine = copy.deepcopy(reference)
    if form == "channels last":
        mine = mine.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    elif form in ("bfloat16", "float16", "double"):
        mine = mine.to({"bfloat16": torch.bfloat16, "float16": torch.float16, "double": torch.float64}[form])
    elif form == "compiled":
        mine = torch.compile(mine, backend="eager")  # type: ignore[assignment]
    report = compare_models(mine, reference, IMAGES)
    assert report.is_same, str(report)
    expected = {"plain": "same", "compiled": "same", "bfloat16": "same up to rounding"}
    assert report.verdict == expected.get(form, report.verdict)
    assert ("as compiled" in report.compared) == (form == "compiled")


def test_other_weights_are_no_departure_since_those_of_the_reference_are_taken(reference: nn.Module) -> None:
    torch.manual_seed(5)
    assert compare_models(resnet18(num_classes=10), reference, IMAGES).verdict == "same"


def test_nothing_is_changed_and_the_next_step_is_bit_identical(reference: nn.Module) -> None:
    def step(model: nn.Module, *, compared: bool) -> dict[str, Tensor]:
        torch.manual_seed(3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        if compared:
            compare_models(model, reference, IMAGES)
        loss = F.dropout(model(IMAGES), 0.5).square().mean()
        loss.backward()
        optimizer.step()
        return model.state_dict()

    before = copy.deepcopy(reference.state_dict())
    one = step(copy.deepcopy(reference), compared=False)
    other = step(copy.deepcopy(reference), compared=True)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert all(torch.equal(value, before[name]) for name, value in reference.state_dict().items())


class _Own(nn.Module):
    """A multilayer perceptron in a person's own words."""

    def __init__(self, activation: object = F.relu, *, scale: float = 1.0, drop: float = 0.1) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        self.norm, self.drop = nn.LayerNorm(8), nn.Dropout(drop)
        self.activation, self.scale = activation, scale

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.norm(self.first(x)))  # type: ignore[operator]
        out: Tensor = self.second(self.drop(hidden)) * self.scale
        return out


def _other() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


def test_an_implementation_with_other_names_and_functions_is_the_same() -> None:
    report = compare_models(_Own(), _other(), VECTORS)
    assert report.is_same, str(report)
    assert {pair.how for pair in report.matching.pairs} == {"order"}
    assert not report.matching.only_mine
    assert not report.matching.only_reference


@pytest.mark.parametrize(
    ("mine", "module", "how"),
    [
        (lambda: _Own(F.gelu), "", "gelu in place of relu"),
        (lambda: _Own(lambda x: x), "", "relu is left out"),
        (lambda: _Own(lambda x: F.gelu(x, approximate="tanh")), "", "gelu(approximate='tanh') in place of relu"),
        (lambda: _Own(scale=8**-0.5), "", "it is scaled by 0.353553"),
        (lambda: _Own(scale=-1), "", "its sign is turned"),
        (lambda: _Own(drop=0.4), "drop", "p is 0.4 in place of 0.1"),
    ],
)
def test_slips_in_functions_are_named(mine: object, module: str, how: str) -> None:
    found = compare_models(mine(), _other(), VECTORS).departure  # type: ignore[operator]
    assert found is not None
    assert (found.module, found.how, found.proven) == (module, how, True)
    if module == "" and "scaled" not in how and "sign" not in how:
        assert found.site is not None
        assert "self.drop(hidden)" in found.site.source


def test_the_two_kinds_of_gelu_are_told_apart() -> None:
    exact = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3))
    rough = nn.Sequential(nn.Linear(6, 8), nn.GELU(approximate="tanh"), nn.Linear(8, 3))
    found = compare_models(rough, exact, VECTORS).departure
    assert found is not None
    assert (found.module, found.how) == ("1", "approximate is 'tanh' in place of 'none'")


def test_every_slip_is_told_and_not_only_the_first() -> None:
    reference = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.LeakyReLU(), nn.Linear(8, 8), nn.LayerNorm(8))
    mine = copy.deepcopy(reference)
    mine[1].eps, mine[2].negative_slope, mine[4].eps = 1e-3, 0.2, 1e-2  # type: ignore[assignment]
    report = compare_models(mine, reference, VECTORS)
    assert report.departure is not None
    assert report.departure.module == "1"
    assert [(one.module, one.how) for one in report.others] == [
        ("2", "negative_slope is 0.2 in place of 0.01"),
        ("4", "eps is 0.01 in place of 1e-05"),
    ]


def test_a_linear_layer_that_is_stored_transposed_gets_its_weights() -> None:
    class Stored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.zeros(6, 3)), nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight + self.bias

    report = compare_models(Stored(), nn.Linear(6, 3), VECTORS)
    assert report.is_same, str(report)
    assert [pair.how for pair in report.matching.pairs] == ["transposed", "name"]


def test_recurrent_and_attention_layers() -> None:
    series = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True)
    assert compare_models(nn.LSTM(6, 8, num_layers=2, batch_first=True), lstm, series).is_same
    found = compare_models(nn.LSTM(6, 8, num_layers=2), lstm, series).departure
    assert found is not None
    assert found.how == "batch_first is False in place of True"
    layer = nn.TransformerEncoderLayer(6, 2, 16, dropout=0.1, batch_first=True)
    assert compare_models(nn.TransformerEncoderLayer(6, 2, 16, batch_first=True), layer, series).is_same
    other = nn.TransformerEncoderLayer(6, 2, 16, batch_first=True, norm_first=True)
    found = compare_models(other, layer, series).departure
    assert found is not None
    assert found.module == ""


def test_a_next_token_model_and_targets_with_a_loss() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 11))

    tokens = torch.randint(11, (4, 7), generator=torch.Generator().manual_seed(0))

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(output.flatten(0, 1), targets.flatten())

    assert compare_models(make(), make(), (tokens, tokens.roll(1, 1)), loss_fn=loss).is_same


def test_our_models_are_their_own_reference() -> None:
    for model in (models.mlp(6, 3), models.lenet(num_classes=3, in_channels=3, image_size=40)):
        batch = VECTORS if isinstance(model, type(models.mlp(6, 3))) else IMAGES
        assert compare_models(copy.deepcopy(model), model, batch).verdict == "same"


def test_what_mine_cannot_be_called_on_is_located() -> None:
    mine = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(9, 3))
    report = compare_models(mine, nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), VECTORS)
    assert report.departure is not None
    assert report.departure.module == "2"
    assert "raises RuntimeError" in report.departure.where
    assert report.matching.only_mine == ("2.weight",)


def test_a_reference_that_does_not_fit_the_batch_is_refused() -> None:
    with pytest.raises(ModelError, match="reference cannot be called"):
        compare_models(nn.Linear(3, 3), nn.Linear(3, 3), VECTORS)


def test_the_report_survives_json_and_is_at_the_top() -> None:
    report = mlkit.compare_models(_Own(F.gelu), _other(), VECTORS)
    assert json.loads(json.dumps(report.to_dict()))["departure"]["how"] == "gelu in place of relu"
    assert "gelu in place of relu" in report._repr_html_()
