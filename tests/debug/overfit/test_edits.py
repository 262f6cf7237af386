"""Each edit changes one thing, on a copy."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.debug.overfit import edits
from mlkit.debug.overfit.course import Setup, same_batch
from mlkit.debug.overfit.yardstick import yardstick_for


def setup(*layers: nn.Module, lr: float = 0.1) -> Setup:
    torch.manual_seed(0)
    model = nn.Sequential(*(layers or (nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))))
    parameters = list(model.parameters()) or [nn.Parameter(torch.zeros(1))]
    batch = Batch((torch.randn(12, 4),), torch.arange(12) % 3)
    return Setup(model, torch.optim.SGD(parameters, lr=lr, momentum=0.9), batch, F.cross_entropy)


def _frozen(module: nn.Module) -> None:
    module.requires_grad_(False)


EDITS = {
    "rate": edits.with_groups(lr=edits.scaled(10)),
    "modules": edits.with_modules(_frozen),
    "swapped": edits.with_swapped(lambda module: isinstance(module, nn.ReLU), lambda _: nn.Tanh()),
    "parameters": edits.with_all_parameters,
    "weights": edits.with_default_weights,
    "inputs": edits.with_inputs(edits.standardised),
    "wider": edits.rebuilt(edits.wider),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_is_given_stays_as_it_was(name: str) -> None:
    one = setup()
    kept, batch = copy.deepcopy(one.model.state_dict()), one.copied().batch
    twin = EDITS[name](one)
    assert twin.model is not one.model
    assert all(torch.equal(kept[key], value) for key, value in one.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in one.model.parameters())
    assert same_batch(one.batch, batch)
    assert one.optimizer.param_groups[0]["lr"] == 0.1
    assert isinstance(one.model[1], nn.ReLU)  # type: ignore[index]


@pytest.mark.parametrize("name", EDITS)
def test_the_optimiser_of_the_copy_holds_the_parameters_of_the_copy(name: str) -> None:
    twin = EDITS[name](setup())
    held = {id(each) for group in twin.optimizer.param_groups for each in group["params"]}
    assert held == {id(each) for each in twin.model.parameters()}
    assert twin.optimizer.param_groups[0]["momentum"] == 0.9


def test_a_rate_is_multiplied_in_every_group() -> None:
    one = setup()
    one.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.5})
    twin = edits.with_groups(lr=edits.scaled(0.1))(one)
    assert [group["lr"] for group in twin.optimizer.param_groups] == pytest.approx([0.01, 0.05])


def test_wider_layers_fit_together() -> None:
    layers = (
        nn.Linear(4, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(8, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    )
    twin = edits.rebuilt(edits.wider)(setup(*layers))
    assert twin.model(torch.randn(5, 4)).shape == (5, 3)
    assert [layer.out_features for layer in twin.model.modules() if isinstance(layer, nn.Linear)] == [88, 66, 3]


def test_a_single_dense_layer_gets_a_hidden_one() -> None:
    twin = edits.rebuilt(edits.wider)(setup(nn.Linear(4, 3)))
    assert [type(layer).__name__ for layer in twin.model.children()] == ["Linear", "ReLU", "Linear"]


def test_dense_layers_in_a_row_are_bent_and_others_are_not() -> None:
    straight: list[nn.Module] = [nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)]
    names = [type(layer).__name__ for layer in edits.bent(straight)]
    assert names == ["Linear", "ReLU", "Dropout", "Linear", "Tanh", "Linear"]


def test_the_last_module_is_found_where_its_output_is_returned() -> None:
    softmax = nn.Softmax(1)
    one = setup(nn.Linear(4, 3), softmax)
    assert edits.last_module(one) is softmax
    twin = edits.without(softmax)(one)
    x = torch.randn(2, 4)
    assert torch.equal(twin.model(x), one.model[0](x))  # type: ignore[index]
    assert edits.last_module(setup(nn.Softmax(1), nn.Linear(4, 3))) is None


@pytest.mark.parametrize(("dim", "is_over_examples"), [(0, True), (-2, True), (1, False), (-1, False)])
def test_a_softmax_over_the_examples_is_told_from_one_over_the_classes(dim: int, is_over_examples: bool) -> None:
    one = setup(nn.Linear(4, 3), nn.LogSoftmax(dim))
    stick = yardstick_for(torch.zeros(12, 3), one.batch.targets)
    assert stick is not None
    assert (edits.softmax_over_examples(one, stick) is not None) is is_over_examples


def test_images_are_standardised_by_channel() -> None:
    x = torch.randn(8, 3, 5, 5) * torch.tensor([1.0, 10.0, 100.0])[:, None, None] + 7
    out = edits.standardised(x)
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(out.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    assert torch.equal(edits.standardised(torch.full((4, 2), 3.0)), torch.zeros(4, 2))  # a constant has no deviation
