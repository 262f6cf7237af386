"""Changes to a copy of a setup: an optimiser made anew, modules swapped, a model made wider.

Each gives a setup of its own and leaves the one that it got. Not here: which changes are tried (`.changes`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.debug.overfit.course import Setup
from mlkit.debug.overfit.yardstick import Yardstick
from mlkit.engine.step import forward
from mlkit.runtime import rng

Edit = Callable[[Setup], Setup]
BENDS = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.ReLU6, nn.Hardtanh, nn.Tanh,
    nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish, nn.Softplus, nn.Softsign, nn.PReLU, nn.Threshold, nn.Tanhshrink,
)  # fmt: skip
SQUASHES = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Softmin, nn.LogSigmoid, *BENDS)


def scaled(factor: float) -> Callable[[float], float]:
    """Multiplication by ``factor``, as a function.

    >>> scaled(0.5)(4.0)
    2.0
    """
    return lambda value: factor * value


def with_groups(**values: Callable[[float], float]) -> Edit:
    """Every parameter group's setting, by name, as a function of what it was."""

    def edit(setup: Setup) -> Setup:
        twin = setup.copied()
        for group in twin.optimizer.param_groups:
            for name, change in values.items():
                if name in group:
                    group[name] = change(group[name])
        return twin

    return edit


def with_modules(change: Callable[[nn.Module], None]) -> Edit:
    """``change`` made to every module of a copy."""

    def edit(setup: Setup) -> Setup:
        twin = setup.copied()
        for module in twin.model.modules():
            change(module)
        return twin

    return edit


def with_swapped(old: Callable[[nn.Module], bool], new: Callable[[nn.Module], nn.Module]) -> Edit:
    """Every module for which ``old`` holds, replaced; the optimiser, where it held what is gone, is made anew."""

    def edit(setup: Setup) -> Setup:
        twin = setup.copied()
        model = new(twin.model) if old(twin.model) else twin.model
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if old(child):
                    setattr(module, name, new(child))
        return replace(twin, model=model, optimizer=remade(twin.optimizer, model))

    return edit


def remade(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """A new optimiser of the same kind and settings for all of a model's parameters.

    Settings are those of the first group; where the parameters are the same as before, the old one stays.
    """
    parameters = list(model.parameters())
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    if {id(each) for each in parameters} == held:
        return optimizer
    kind = type(optimizer)
    known = inspect.signature(kind.__init__).parameters
    first = {name: value for name, value in optimizer.param_groups[0].items() if name in known and name != "params"}
    return kind(parameters, **first)


def with_all_parameters(setup: Setup) -> Setup:
    """All parameters trained, by one optimiser of the same kind."""
    twin = setup.copied()
    for parameter in twin.model.parameters():
        parameter.requires_grad_()
    return replace(twin, optimizer=remade(twin.optimizer, twin.model))


def with_default_weights(setup: Setup) -> Setup:
    """Every layer as it initialises itself; parameters that belong to no such layer stay."""
    twin = setup.copied()
    with rng.preserved():
        rng.seed_everything(0)
        for module in twin.model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return twin


def with_inputs(change: Callable[[Tensor], Tensor]) -> Edit:
    """``change`` made to every input of floating numbers, or of bytes."""

    def edit(setup: Setup) -> Setup:
        twin = setup.copied()
        return replace(twin, batch=mapped(twin.batch, change))

    return edit


def mapped(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """A batch with every input of numbers changed; indices and lengths stay."""

    def one(x: Tensor) -> Tensor:
        return change(x) if x.is_floating_point() else x

    inputs = batch.inputs
    if isinstance(inputs, Mapping):
        return Batch({name: one(x) for name, x in inputs.items()}, batch.targets)
    return Batch(tuple(map(one, inputs)), batch.targets)


def standardised(x: Tensor) -> Tensor:
    """Mean 0 and deviation 1: a channel of images ``(B, C, H, W)``, else a last-axis feature, at a time.

    >>> x = torch.tensor([[1.0, 100.0], [3.0, 300.0]])
    >>> standardised(x).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    kept = 1 if x.ndim >= 4 else x.ndim - 1
    axes = [axis for axis in range(x.ndim) if axis != kept] or [0]
    mean = x.mean(axes, keepdim=True)
    deviation = x.std(axes, keepdim=True, correction=0)
    return (x - mean) / torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def last_module(setup: Setup) -> nn.Module | None:
    """The module whose output is what the model returns, if it is one that squashes."""
    twin = setup.copied()
    returned: dict[int, str] = {}
    handles = []
    for name, module in twin.model.named_modules():
        if isinstance(module, SQUASHES):

            def hook(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
                returned[id(output)] = name

            handles.append(module.register_forward_hook(hook))
    with rng.preserved(), torch.no_grad():
        output = forward(twin.model.train(), twin.batch)
    for handle in handles:
        handle.remove()
    name = returned.get(id(output))
    return None if name is None else setup.model.get_submodule(name)


def softmax_over_examples(setup: Setup, stick: Yardstick) -> nn.Softmax | nn.LogSoftmax | None:
    """The softmax that gives the output, where it runs along the first axis, that of the examples."""
    last = last_module(setup)
    if stick.kind != "classes" or not isinstance(last, (nn.Softmax, nn.LogSoftmax)):
        return None
    return last if last.dim == 0 or last.dim == -(setup.batch.targets.ndim + 1) else None


def without(squash: nn.Module) -> Edit:
    """The model without one module, by its place."""

    def edit(setup: Setup) -> Setup:
        name = next(name for name, module in setup.model.named_modules() if module is squash)
        twin = setup.copied()
        if not name:
            return replace(twin, model=nn.Identity())
        parent, _, last = name.rpartition(".")
        setattr(twin.model.get_submodule(parent), last, nn.Identity())
        return twin

    return edit


def plain_layers(model: nn.Module) -> Sequence[nn.Module] | None:
    """The layers of a plain sequence of dense layers, activations and the like; None for anything else."""
    simple = (nn.Linear, nn.Dropout, nn.Flatten, nn.BatchNorm1d, nn.LayerNorm, nn.Identity, nn.Softmax, nn.LogSoftmax)
    if not isinstance(model, nn.Sequential):
        return None
    layers: list[nn.Module] = []
    for child in model:
        if isinstance(child, nn.Sequential):
            inner = plain_layers(child)
            if inner is None:
                return None
            layers += inner
        elif isinstance(child, (*simple, *BENDS)):
            layers.append(child)
        else:
            return None
    return layers if any(isinstance(layer, nn.Linear) for layer in layers) else None


def rebuilt(change: Callable[[list[nn.Module]], list[nn.Module]]) -> Edit:
    """A plain sequence of layers with ``change`` made to the list of them, freshly initialised where it is new."""

    def edit(setup: Setup) -> Setup:
        twin = setup.copied()
        layers = plain_layers(twin.model)
        if layers is None:
            raise TypeError("not a plain sequence of layers")
        with rng.preserved():
            rng.seed_everything(0)
            model = nn.Sequential(*change(list(layers)))
        return replace(twin, model=model, optimizer=remade(twin.optimizer, model))

    return edit


def wider(layers: list[nn.Module]) -> list[nn.Module]:
    """Hidden dense layers four times as wide, 64 units at least; all layers anew. Without any, one of 64 units."""
    dense = [layer for layer in layers if isinstance(layer, nn.Linear)]
    times = max(4, -(-64 // min(layer.in_features for layer in dense[1:]))) if len(dense) > 1 else 1
    if len(dense) == 1:
        only = dense[0]
        new: list[nn.Module] = [nn.Linear(only.in_features, 64), nn.ReLU(), nn.Linear(64, only.out_features)]
        at = layers.index(only)
        return [*layers[:at], *new, *layers[at + 1 :]]
    found: list[nn.Module] = []
    factor = 1
    for layer in layers:
        if isinstance(layer, nn.Linear):
            last = layer is dense[-1]
            out = layer.out_features * (1 if last else times)
            found.append(nn.Linear(layer.in_features * factor, out, bias=layer.bias is not None))
            factor = 1 if last else times
        elif isinstance(layer, nn.BatchNorm1d):
            found.append(nn.BatchNorm1d(layer.num_features * factor))
        elif isinstance(layer, nn.LayerNorm):
            found.append(nn.LayerNorm(layer.normalized_shape[-1] * factor))
        else:
            found.append(layer)
    return found


def bent(layers: list[nn.Module]) -> list[nn.Module]:
    """A ReLU after every dense layer that is followed by another with nothing but dropout or norms between."""
    found: list[nn.Module] = []
    straight: int | None = None
    for layer in layers:
        if isinstance(layer, nn.Linear):
            if straight is not None:
                found.insert(straight + 1, nn.ReLU())
            found.append(layer)
            straight = len(found) - 1
            continue
        if isinstance(layer, BENDS):
            straight = None
        found.append(layer)
    return found
