"""Every layer against a loop over the members' own modules: outputs, gradients and buffers, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlkit.models.blocks import Scale
from mlkit.population.stacked.convert import supported
from mlkit.population.stacked.dropout import KeyedDropout, set_step, use_keyed_dropout
from mlkit.population.stacked.fold import StackedLayer
from mlkit.population.stacked.stack import Stack

SIZE, ROWS = 3, 4


class First(nn.Module):
    """Recurrent layers return a pair; models use its first part, and here its ends too."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        output, (hidden, cell) = self.layer(x)
        ends = hidden.sum(0) + 2 * cell.sum(0)
        if self.layer.batch_first:  # type: ignore[union-attr]
            return output.sum(1).repeat(1, 3) + ends.repeat(1, output.shape[2] // ends.shape[1] * 3)
        return output.sum(0).repeat(1, 3) + ends.repeat(1, output.shape[2] // ends.shape[1] * 3)


class TimeFirst(nn.Module):
    """Turns a batch into what a layer with the steps first wants."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first = First(layer)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.first(x.transpose(0, 1))
        return output


def embedding(padding: int | None) -> nn.Module:
    return nn.Sequential(nn.Embedding(7, 3, padding_idx=padding), nn.Flatten(), nn.Tanh())


def conv1d() -> nn.Module:
    return nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=1, groups=2)


# name -> (module, shape of an example; None: indices of tokens)
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...] | None]] = {
    "linear": (lambda: nn.Linear(5, 4), (5,)),
    "linear without bias": (lambda: nn.Linear(5, 4, bias=False), (5,)),
    "linear over more axes": (lambda: nn.Linear(5, 4), (2, 3, 5)),
    "conv1d with groups": (conv1d, (4, 9)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 5, 6)),
    "conv2d strided": (lambda: nn.Conv2d(2, 4, (3, 2), stride=2, dilation=(1, 2), bias=False), (2, 7, 8)),
    "conv2d depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, padding="same"), (4, 5, 5)),
    "batchnorm1d": (lambda: nn.BatchNorm1d(5), (5,)),
    "batchnorm1d of series": (lambda: nn.BatchNorm1d(3, momentum=0.3, eps=1e-3), (3, 5)),
    "batchnorm2d": (lambda: nn.BatchNorm2d(3), (3, 4, 4)),
    "batchnorm2d plain": (lambda: nn.BatchNorm2d(3, affine=False, track_running_stats=False), (3, 4, 4)),
    "batchnorm3d": (lambda: nn.BatchNorm3d(2), (2, 2, 3, 2)),
    "layernorm": (lambda: nn.LayerNorm(5), (5,)),
    "layernorm over two axes": (lambda: nn.LayerNorm((3, 4), bias=False), (2, 3, 4)),
    "layernorm plain": (lambda: nn.Sequential(nn.LayerNorm(5, elementwise_affine=False), nn.Linear(5, 2)), (5,)),
    "rmsnorm": (lambda: nn.RMSNorm(5), (3, 5)),
    "groupnorm": (lambda: nn.GroupNorm(2, 4), (4, 3, 3)),
    "embedding": (lambda: embedding(None), None),
    "embedding with padding": (lambda: embedding(2), None),
    "dropout": (lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.4)), (5,)),
    "dropout of the input": (lambda: nn.Sequential(nn.Dropout(0.4), nn.Linear(5, 2)), (5,)),
    "prelu": (lambda: nn.PReLU(3), (3, 4)),
    "prelu of one slope": (lambda: nn.PReLU(), (4,)),
    "scale": (Scale, (2, 3)),
    "lstm": (lambda: First(nn.LSTM(3, 4, batch_first=True)), (5, 3)),
    "lstm of two layers": (lambda: First(nn.LSTM(3, 4, 2, batch_first=True, dropout=0.3)), (5, 3)),
    "lstm of both directions": (
        lambda: First(nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True, dropout=0.3, bias=False)),
        (5, 3),
    ),
    "lstm with the steps first": (lambda: TimeFirst(nn.LSTM(3, 4, 2, dropout=0.2)), (5, 3)),
    "pooling and activations": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Softmax(1)
        ),
        (1, 9, 9),
    ),
}


def members(name: str) -> list[nn.Module]:
    torch.manual_seed(0)
    models = [LAYERS[name][0]().double() for _ in range(SIZE)]
    for model in models:
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.7)  # gains and biases too, which would start alike
    return models


def inputs(name: str, *, shared: bool) -> Tensor:
    stream = torch.Generator().manual_seed(1)
    shape = (ROWS,) if shared else (SIZE, ROWS)
    example = LAYERS[name][1]
    if example is None:
        return torch.randint(0, 7, (*shape, 5), generator=stream)
    return torch.randn(*shape, *example, generator=stream, dtype=torch.float64)


def kernels_of(name: str) -> list[str]:
    stack = Stack.of(members(name), keys=range(SIZE))
    found = {k for layer in stack.model.modules() if isinstance(layer, StackedLayer) for k in layer.kernels}
    return sorted(found) or [""]


CASES = [(name, kernel) for name in LAYERS for kernel in kernels_of(name)]


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize(("name", "kernel"), CASES)
def test_outputs_gradients_and_buffers_equal_the_loop(name: str, kernel: str, shared: bool) -> None:
    models = members(name)
    stack = Stack.of(models, keys=[10 + k for k in range(SIZE)])
    for layer in stack.model.modules():
        if isinstance(layer, StackedLayer) and layer.kernels:
            layer.kernel = kernel
    alone = copy.deepcopy(models)
    for k, model in enumerate(alone):
        use_keyed_dropout(model, 10 + k)
    x = inputs(name, shared=shared)
    for step in (0, 1):  # twice, for buffers that are used once they have changed
        stack.set_step(step)
        outputs = stack.forward((x,), shared=shared)
        weights = torch.linspace(-1, 1, outputs[0].numel(), dtype=torch.float64).view(outputs[0].shape)
        gradients = stack.gradients((outputs * weights).flatten(1).sum(1) + outputs.square().flatten(1).sum(1))
        for k, model in enumerate(alone):
            set_step(model, step)
            model.zero_grad()
            output = model(x if shared else x[k])
            if list(model.parameters()):
                ((output * weights).sum() + output.square().sum()).backward()
            torch.testing.assert_close(outputs[k], output, rtol=1e-11, atol=1e-11)
            expected = {n: p.grad for n, p in model.named_parameters()}
            assert gradients.keys() == expected.keys()
            for parameter, gradient in expected.items():
                torch.testing.assert_close(gradients[parameter][k], gradient, rtol=1e-10, atol=1e-10)
            for buffer, value in model.state_dict().items():
                torch.testing.assert_close(stack.state_dict_of(k)[buffer], value, rtol=1e-12, atol=1e-12)
    stack.train(False)
    outputs = stack.forward((x,), shared=shared)
    for k, model in enumerate(alone):
        torch.testing.assert_close(outputs[k], model.eval()(x if shared else x[k]), rtol=1e-11, atol=1e-11)


def test_every_supported_layer_is_tested() -> None:
    tested = {type(module) for name in LAYERS for module in LAYERS[name][0]().modules()}
    own = {kind for kind in supported() if kind.__module__.startswith(("torch.", "mlkit.models"))}
    assert own <= tested
    assert KeyedDropout in supported()


@pytest.mark.parametrize("position", [-1, 7, 100])
def test_an_index_out_of_range_does_not_read_the_neighbours_table(position: int) -> None:
    stack = Stack.of([nn.Embedding(7, 2) for _ in range(3)], keys=range(3))
    with pytest.raises(IndexError, match="out of range"):
        stack.forward((torch.tensor([[0, position]]),), shared=True)


def test_padding_gets_no_gradient() -> None:
    stack = Stack.of([nn.Embedding(4, 2, padding_idx=1) for _ in range(2)], keys=range(2))
    outputs = stack.forward((torch.tensor([[1, 2, 1]]),), shared=True)
    gradient = stack.gradients(outputs.flatten(1).sum(1))["weight"]
    assert gradient.sum((0, 2)).tolist() == [0, 0, 4, 0]
