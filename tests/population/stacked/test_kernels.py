from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlkit.models import lenet, lstm
from mlkit.population.stacked.fold import StackedLayer
from mlkit.population.stacked.kernels import choose_kernels, isolates
from mlkit.population.stacked.stack import Stack
from tests.population.stacked.zoo import ARCHITECTURES, difference


def conv_net(k: int) -> nn.Module:
    torch.manual_seed(k)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", ["lenet", "resnet", "lstm"])
def test_choosing_leaves_numbers_as_they_were(name: str, shared: bool) -> None:
    make, shape = ARCHITECTURES[name]
    stack = Stack.of([make(k) for k in range(3)], keys=range(3))
    stack.set_step(2)
    x = torch.randn(*(() if shared else (3,)), 4, *shape, dtype=torch.float64)
    outputs = stack.forward((x,), shared=shared)
    stack.set_step(2)
    before = stack.state()
    choices = choose_kernels(stack, (x,), shared=shared, calls=1)
    layers = {layer.label: layer for layer in stack.model.modules() if isinstance(layer, StackedLayer)}
    assert {choice.layer for choice in choices} == {label for label, layer in layers.items() if layer.kernels}
    assert difference(before, stack.state()) == 0
    for choice in choices:
        assert layers[choice.layer].kernel == choice.kernel
        assert choice.kernel in choice.seconds
        assert all(0 < seconds < 60 for seconds in choice.seconds.values())
        assert choice.to_dict()["kernel"] == choice.kernel
    torch.testing.assert_close(stack.forward((x,), shared=shared), outputs, rtol=1e-9, atol=1e-9)


class Slow(StackedLayer):
    """Another way that is right but slow, one that is wrong, one that leaks, and one that is fast."""

    kernels = ("plain", "wrong", "leaks", "fast")

    def forward(self, x: Tensor) -> Tensor:
        own = self.split(self.fold.own(x))
        if self.kernel == "wrong":
            return (own * 1.5).flatten(0, 1)
        if self.kernel == "leaks":
            return (own + 0 * own.sum(0, keepdim=True)).flatten(0, 1)
        if self.kernel == "plain":
            for _ in range(200):
                own = own + 0
        return own.flatten(0, 1)


def test_only_what_is_right_and_keeps_members_apart_is_taken() -> None:
    stack = Stack.of([nn.Linear(4, 4) for _ in range(3)], keys=range(3))
    slow = Slow([nn.Identity()] * 3, "slow", stack.fold)
    stack.model = nn.Sequential(stack.model, slow)
    (choice,) = choose_kernels(stack, (torch.randn(6, 4),), shared=True)
    assert choice.kernel == slow.kernel == "fast"
    assert set(choice.seconds) == {"plain", "fast"}


@pytest.mark.parametrize(
    "make", [conv_net, lambda k: lenet(3, image_size=8, seed=k), lambda k: lstm(2, 3, hidden=4, seed=k)]
)
@pytest.mark.parametrize("shared", [True, False])
def test_no_way_of_ours_lets_a_nan_through(make: Callable[[int], nn.Module], shared: bool) -> None:
    models = [make(k) for k in range(3)]
    stack = Stack.of(models, keys=range(3))
    given = torch.randn(
        *(() if shared else (3,)), 4, *((1, 6, 6) if isinstance(models[0], nn.Sequential) else (1, 8, 8))
    )
    if hasattr(models[0], "encoder"):
        given = torch.randn(*(() if shared else (3,)), 4, 5, 2)
    seen: list[tuple[StackedLayer, Tensor, bool]] = []
    for layer in stack.model.modules():
        if isinstance(layer, StackedLayer):
            layer.register_forward_pre_hook(lambda one, args: seen.append((one, args[0].detach(), stack.fold.shared)))
    stack.forward((given,), shared=shared)
    for layer, x, still_shared in seen[-len(list(stack.model.modules())) :]:
        stack.fold.shared = still_shared
        for kernel in layer.kernels or ("",):
            assert isolates(layer, kernel, x), (layer.label, kernel)
