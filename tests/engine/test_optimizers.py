from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlkit.engine.optimizers import make_optimizer, match_layout, parameter_groups, spare_gradient_copies
from mlkit.errors import ConfigError, ModelError


class Everything(nn.Module):
    """One of each kind of parameter for which decay is a question."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.dense = nn.Linear(4, 4)
        self.conv = nn.Conv2d(1, 2, 3)
        self.lstm = nn.LSTM(4, 3)
        self.batch_norm = nn.BatchNorm2d(2)
        self.layer_norm = nn.LayerNorm((3, 4))
        self.group_norm = nn.GroupNorm(1, 2)
        self.instance_norm = nn.InstanceNorm1d(2, affine=True)
        self.rms_norm = nn.RMSNorm((2, 3))
        self.slope = nn.PReLU()
        self.gain = nn.Parameter(torch.ones(()))


DECAYED = {"embedding.weight", "dense.weight", "conv.weight", "lstm.weight_ih_l0", "lstm.weight_hh_l0"}


def names_by_group(model: nn.Module, **settings: Any) -> dict[str, list[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        group["name"]: [names[id(parameter)] for parameter in group["params"]]
        for group in make_optimizer(model, **settings).param_groups
    }


def test_norms_biases_and_scalars_are_not_decayed() -> None:
    model = Everything()
    groups = names_by_group(model, weight_decay=0.1)
    assert set(groups["decayed"]) == DECAYED
    assert set(groups["undecayed"]) == {name for name, _ in model.named_parameters()} - DECAYED


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_without_gradient_only_decayed_weights_shrink(name: Any) -> None:
    model = Everything()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(model, name=name, lr=0.1, weight_decay=0.5).step()
    shrunk = {name for name, parameter in model.named_parameters() if float(parameter.detach().max()) < 1}
    assert shrunk == DECAYED


def test_adamw_shrinks_by_the_closed_form_and_adam_does_not() -> None:
    for name, expected in (("adamw", 1 - 0.1 * 0.5), ("adam", 1 - 0.1)):
        layer = nn.Linear(2, 2, bias=False)
        nn.init.ones_(layer.weight)
        layer.weight.grad = torch.zeros_like(layer.weight)
        make_optimizer(layer, name=name, lr=0.1, weight_decay=0.5).step()  # type: ignore[arg-type]
        # Adam divides the penalty's gradient by its own size, so its first step is the learning rate itself.
        torch.testing.assert_close(layer.weight.detach(), torch.full((2, 2), expected))


def test_no_decay_means_one_group_with_everything() -> None:
    model = Everything()
    assert names_by_group(model) == {"all": [name for name, _ in model.named_parameters()]}


def test_a_model_of_norms_has_no_empty_group() -> None:
    assert list(names_by_group(nn.LayerNorm(3), weight_decay=0.1)) == ["undecayed"]


def test_shared_parameters_count_once_and_frozen_ones_not_at_all() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 4)
            self.head = nn.Linear(4, 5)
            self.head.weight = self.embedding.weight
            self.frozen = nn.Linear(4, 4).requires_grad_(requires_grad=False)

    assert names_by_group(Tied(), weight_decay=0.1) == {"decayed": ["embedding.weight"], "undecayed": ["head.bias"]}


def adam_by_hand(weights: Tensor, gradients: list[Tensor], lr: float) -> Tensor:
    """Algorithm 1 of Kingma & Ba 2015."""
    m, v = torch.zeros_like(weights), torch.zeros_like(weights)
    for t, gradient in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        weights = weights - lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return weights


def sgd_by_hand(weights: Tensor, gradients: list[Tensor], lr: float) -> Tensor:
    velocity = torch.zeros_like(weights)
    for gradient in gradients:
        velocity = 0.9 * velocity + gradient
        weights = weights - lr * velocity
    return weights


@pytest.mark.parametrize(("name", "by_hand"), [("adam", adam_by_hand), ("adamw", adam_by_hand), ("sgd", sgd_by_hand)])
def test_steps_follow_the_published_equations(name: Any, by_hand: Any) -> None:
    layer = nn.Linear(6, 5, bias=False).double()
    start = layer.weight.detach().clone()
    gradients = [torch.randn(5, 6, dtype=torch.double) for _ in range(4)]
    optimizer = make_optimizer(layer, name=name, lr=0.01)
    for gradient in gradients:
        layer.weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), by_hand(start, gradients, 0.01))


def test_models_that_have_no_fused_kernel_are_trained_too() -> None:
    sparse = nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.Linear(4, 1))
    before = sparse[0].weight.detach().clone()
    optimizer = make_optimizer(sparse, name="sgd", lr=0.1, momentum=0.0)
    sparse(torch.tensor([1, 2])).sum().backward()
    optimizer.step()
    changed = (sparse[0].weight.detach() != before).any(1)
    assert changed.tolist() == [False, True, True, False, False]

    phase = nn.Module()
    phase.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    phase.weight.grad = torch.ones_like(phase.weight)
    make_optimizer(phase, lr=0.1).step()
    torch.testing.assert_close(phase.weight.detach(), torch.full((2, 2), 0.9 + 0j), atol=1e-5, rtol=0)


def test_a_saved_state_continues_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = Everything()
    gradients = [[torch.randn_like(p) for p in model.parameters()] for _ in range(4)]

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
        for parameter, gradient in zip(model.parameters(), gradients[number], strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()

    optimizer = make_optimizer(model, name="adamw", weight_decay=0.1)
    step(model, optimizer, 0)
    step(model, optimizer, 1)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    twin = copy.deepcopy(model)
    resumed = make_optimizer(twin, name="adamw", weight_decay=0.1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert [group["name"] for group in resumed.param_groups] == ["decayed", "undecayed"]
    for number in (2, 3):
        step(model, optimizer, number)
        step(twin, resumed, number)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_state_of_another_memory_layout_is_put_right(name: Any) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 4, 3)
    gradients = [torch.randn_like(plain.weight) for _ in range(2)]

    def step(conv: nn.Conv2d, optimizer: torch.optim.Optimizer, number: int) -> None:
        conv.weight.grad = torch.empty_like(conv.weight).copy_(gradients[number])
        optimizer.step()

    optimizer = make_optimizer(plain, name=name, lr=0.1)
    step(plain, optimizer, 0)
    turned = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    resumed = make_optimizer(turned, name=name, lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # loading shares tensors with what is given
    match_layout(resumed)
    step(plain, optimizer, 1)
    step(turned, resumed, 1)
    torch.testing.assert_close(turned.weight, plain.weight)
    kept = [value for value in resumed.state[turned.weight].values() if value.ndim == 4]
    assert kept
    assert all(value.stride() == turned.weight.stride() for value in kept)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_step_on_channels_last_weights_copies_no_gradient_and_is_the_same(name: Any) -> None:
    def steps(*, spare: bool) -> tuple[nn.Conv2d, dict[str, Any], set[str]]:
        layer = nn.Conv2d(4, 8, 3)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
        layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        optimizer = make_optimizer(layer, name=name, lr=0.1)
        end = spare_gradient_copies(optimizer, [layer.weight]) if spare else None
        for number in range(4):
            optimizer.zero_grad(set_to_none=number == 2)
            layer(torch.full((2, 4, 5, 5), 1.0 + number)).square().sum().backward()
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
                optimizer.step()
            assert layer.weight.grad is not None
            assert layer.weight.grad.shape == layer.weight.shape
        calls = {event.name for event in profiled.events()}
        if end is not None:
            end()
        assert len(optimizer._optimizer_step_pre_hooks) == 0
        return layer, optimizer.state_dict()["state"], calls

    (plain, state, _), (spared, same, calls) = steps(spare=False), steps(spare=True)
    assert torch.equal(plain.weight, spared.weight)
    assert all(torch.equal(a, b) for a, b in zip(_tensors(state), _tensors(same), strict=True))
    assert [value.shape for value in _tensors(state)] == [value.shape for value in _tensors(same)]
    if name != "sgd":
        assert "aten::clone" not in calls


def _tensors(state: dict[str, Any]) -> list[torch.Tensor]:
    return [value for one in state.values() for value in one.values() if isinstance(value, torch.Tensor)]


def test_nothing_to_train_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="the model has nothing to train") as caught:
        make_optimizer(nn.Linear(2, 2).requires_grad_(requires_grad=False))
    assert "unfreeze" in str(caught.value)
    with pytest.raises(ModelError, match="the model has nothing to train"):
        make_optimizer(nn.ReLU())


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_parameters_without_a_shape_are_a_model_error() -> None:
    with pytest.raises(ModelError, match="call the model once on a batch"):
        parameter_groups(nn.LazyLinear(3), weight_decay=0.0)


def test_all_wrong_settings_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        make_optimizer(
            nn.Linear(2, 2),
            name="adm",  # type: ignore[arg-type]
            lr=float("nan"),
            weight_decay=-1.0,
            betas=(0.9, 1.0),
            eps=-1e-8,
            momentum=1.5,
        )
    assert len(caught.value.problems) == 6
    assert "did you mean 'adam'?" in str(caught.value)
    with pytest.raises(ConfigError, match="Nesterov's method needs momentum"):
        make_optimizer(nn.Linear(2, 2), name="sgd", momentum=0.0, nesterov=True)
