"""Initialisation as the field defines it: He for ReLU layers, Glorot for tanh, forget gates open.

Not here: layers and architectures; a residual network without normalisation sets its branches in `mlkit.models.resnet`.

Sources:
    * He et al., 2015, "Delving deep into rectifiers", eq. 10: ``Var[w] = 2 / fan_in``.
    * Glorot & Bengio, 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 12:
      ``Var[w] = 2 / (fan_in + fan_out)``.
    * Saxe et al., 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks":
      orthogonal matrices keep the length of what is multiplied again and again, as a recurrent matrix does.
    * Gers et al., 2000, "Learning to forget", and Jozefowicz et al., 2015, "An empirical exploration of recurrent
      network architectures": a forget-gate bias of 1, so that an LSTM remembers until it has learnt what to forget.
    * Goyal et al., 2017, "Accurate, large minibatch SGD", section 5.1: the output layer from a normal distribution
      with standard deviation 0.01, so that training starts at the loss of a uniform guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mlkit.errors import ModelError
from mlkit.models.checks import choice, refuse
from mlkit.runtime.keys import derive_seed

Activation = Literal["relu", "gelu", "tanh"]
Distribution = Literal["normal", "uniform"]
Module = TypeVar("Module", bound=nn.Module)

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
HEAD_STD = 0.01
FORGET_BIAS = 1.0
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_DENSE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_GATES = {nn.LSTM: 4, nn.LSTMCell: 4, nn.GRU: 3, nn.GRUCell: 3, nn.RNN: 1, nn.RNNCell: 1}


@torch.no_grad()
def initialize(
    module: Module,
    *,
    activation: Activation,
    distribution: Distribution = "normal",
    head: nn.Linear | None = None,
    generator: torch.Generator | None = None,
) -> Module:
    """Draw the weights of ``module`` and of everything in it anew, in place, and return it.

    Dense and convolutional weights follow ``activation``; biases become 0. Recurrent layers: input matrices Glorot and
    recurrent matrices orthogonal, gate by gate; biases 0, but forget gates 1 (torch keeps two biases: their sum is 1).
    Embeddings: standard normal. Normalisation layers: weight 1, bias 0, running statistics cleared. Parameters that
    belong to no such layer are left as they are.

    Args:
        module: the model or layer.
        activation: what follows the layers: ``"relu"`` and ``"gelu"`` give He, ``"tanh"`` gives Glorot.
        distribution: ``"normal"`` or ``"uniform"``; the variance is the same.
        head: the output layer, which no activation follows; it is drawn with standard deviation 0.01, so that the first
            loss is that of a uniform guess. None: it is treated like the others.
        generator: where the randomness comes from, on any device; None: torch's global generator.

    Raises:
        ConfigError: an unknown activation or distribution.
        ModelError: a lazy layer has no shape yet, or a layer's weight is computed from others.

    >>> net = nn.Sequential(nn.Linear(400, 1000), nn.ReLU(), nn.Linear(1000, 10))
    >>> _ = initialize(net, activation="relu", generator=torch.Generator().manual_seed(0))
    >>> round(net[0].weight.var().item() * 400, 1)  # He: Var[w] = 2 / fan_in
    2.0
    """
    refuse(
        choice("activation", activation, ACTIVATIONS),
        choice("distribution", distribution, ("normal", "uniform")),
    )
    refuse_lazy(module)
    _refuse_computed(module)
    draw = _normal if distribution == "normal" else _uniform
    for layer in module.modules():
        if isinstance(layer, _DENSE):
            std = HEAD_STD if layer is head else weight_std(layer, activation=activation)
            draw(layer.weight, std, generator)
            _zero(layer.bias)
        elif isinstance(layer, (nn.RNNBase, nn.RNNCellBase)):
            _initialize_recurrent(layer, draw, generator)
        elif isinstance(layer, nn.Embedding):
            _normal(layer.weight, 1.0, generator)
            if layer.padding_idx is not None:
                layer.weight[layer.padding_idx].zero_()
        elif isinstance(layer, _NORMS):
            layer.reset_parameters()
    return module


def fans(layer: nn.Module) -> tuple[int, int]:
    """Inputs that reach one output, and outputs that one input reaches, of a dense or convolutional layer.

    >>> fans(nn.Conv2d(6, 16, 5)), fans(nn.Conv2d(8, 16, 3, groups=4)), fans(nn.Linear(84, 10))
    ((150, 400), (18, 36), (84, 10))
    """
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if not isinstance(layer, nn.modules.conv._ConvNd):
        raise ModelError(
            "a layer without fans", received=type(layer).__name__, allowed="dense and convolutional layers"
        )
    taps = math.prod(layer.kernel_size)
    return layer.in_channels // layer.groups * taps, layer.out_channels // layer.groups * taps


def weight_std(layer: nn.Module, *, activation: Activation) -> float:
    """Standard deviation that He (ReLU, GELU) or Glorot (tanh) initialisation asks of ``layer``'s weights."""
    fan_in, fan_out = fans(layer)
    return _glorot_std(fan_in, fan_out) if activation == "tanh" else math.sqrt(2.0 / fan_in)


def seeded(build: Callable[[], Module], *, seed: int | None) -> Module:
    """What ``build`` returns, with all its randomness drawn from ``seed`` and the global generator left as it was.

    The draws are made on the CPU, so that a seed gives the same weights on every device.

    Args:
        build: makes the module.
        seed: key of the randomness; None: draw from torch's global generator, like any torch layer.

    >>> a, b = (seeded(lambda: nn.Linear(3, 2), seed=7) for _ in range(2))
    >>> torch.equal(a.weight, b.weight)
    True
    """
    if seed is None:
        return build()
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # The CPU generator alone: torch.manual_seed would also reseed the accelerators, which nothing puts back.
        torch.default_generator.manual_seed(derive_seed(seed, "model"))
        module = build()
    device = torch.get_default_device()
    return module if device.type == "cpu" else module.to(device)  # a module that is elsewhere by intent stays there


def refuse_lazy(module: nn.Module) -> None:
    """Raise a `ModelError` when a layer in ``module`` is lazy and was never called, so that it has no weights yet."""
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise ModelError(
                f"the parameter '{name}' has no shape yet",
                received="a lazy layer that was never called",
                allowed="layers whose weights exist",
                todo="call the model once on a batch first",
            )


def _refuse_computed(module: nn.Module) -> None:
    for name, layer in module.named_modules():
        if isinstance(layer, _DENSE) and not isinstance(layer.weight, nn.Parameter):
            raise ModelError(
                f"the weight of '{name}' is computed from other parameters, so that drawing it would change nothing",
                received="a parametrization such as weight_norm",
                allowed="layers that own their weight",
                todo="initialise first, then parametrize",
            )


Draw = Callable[[Tensor, float, torch.Generator | None], None]


def _initialize_recurrent(layer: nn.RNNBase | nn.RNNCellBase, draw: Draw, generator: torch.Generator | None) -> None:
    gates = next(number for kind, number in _GATES.items() if isinstance(layer, kind))
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            _zero(parameter)
            if gates == 4 and name.startswith("bias_ih"):  # torch's gates: input, forget, cell, output
                parameter[layer.hidden_size : 2 * layer.hidden_size] = FORGET_BIAS
        elif name.startswith("weight_hh"):
            for gate in parameter.chunk(gates):
                _fill(gate, lambda weight: nn.init.orthogonal_(weight, generator=generator), generator)
        else:  # weight_ih of all gates, or weight_hr, the projection
            for gate in parameter.chunk(gates if name.startswith("weight_ih") else 1):
                draw(gate, _glorot_std(gate.shape[1], gate.shape[0]), generator)


def _glorot_std(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2.0 / (fan_in + fan_out))


def _normal(weight: Tensor, std: float, generator: torch.Generator | None) -> None:
    _fill(weight, lambda target: target.normal_(0.0, std, generator=generator), generator)


def _uniform(weight: Tensor, std: float, generator: torch.Generator | None) -> None:
    bound = math.sqrt(3.0) * std  # the variance of U(-b, b) is b² / 3
    _fill(weight, lambda target: target.uniform_(-bound, bound, generator=generator), generator)


def _fill(weight: Tensor, draw: Callable[[Tensor], object], generator: torch.Generator | None) -> None:
    if generator is None or generator.device == weight.device:
        draw(weight)
        return
    drawn = torch.empty(weight.shape, dtype=weight.dtype, device=generator.device)
    draw(drawn)
    weight.copy_(drawn)


def _zero(bias: Tensor | None) -> None:
    if bias is not None:
        bias.zero_()
