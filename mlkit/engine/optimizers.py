"""Optimisers: Adam, AdamW and SGD with parameter groups as the field sets them up, in their fastest implementation.

Not here: the learning rate over time (`mlkit.engine.schedules`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Adam, AdamW

from mlkit.errors import ConfigError, ModelError, Problem, did_you_mean

OptimizerName = Literal["adam", "adamw", "sgd"]

_NORMS = (
    nn.modules.batchnorm._NormBase,  # every BatchNorm and InstanceNorm
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
# On one thread the fused step of Adam takes 0.41x the time of the default one for an MLP 784-128-10, 0.43x for LeNet;
# that of SGD with momentum 0.77x and 0.69x (torch 2.15). Kernels exist on these devices from torch 2.9 on.
_FUSED_DEVICES = frozenset({"cpu", "cuda", "mps"})


def make_optimizer(
    model: nn.Module,
    *,
    name: OptimizerName = "adam",
    lr: float = 3e-4,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """An optimiser over the model's trainable parameters, each once.

    Without weight decay there is one parameter group, ``"all"``. With it there are two, ``"decayed"`` (matrices,
    kernels and embeddings) and ``"undecayed"`` (biases, every parameter of a normalisation layer, and any other vector
    or scalar, such as a gain or the slope of a PReLU). The order within follows ``model.named_parameters()``, so a
    saved state fits again.

    Args:
        model: its parameters with ``requires_grad`` are trained; frozen ones are left out.
        name: ``"adam"`` (Kingma & Ba 2015, arXiv:1412.6980), ``"adamw"`` (Loshchilov & Hutter 2019, arXiv:1711.05101)
            or ``"sgd"`` with momentum.
        lr: learning rate; larger is faster until it diverges. SGD wants some 100 times more than Adam.
        weight_decay: pulls weights to zero. In ``adam`` and ``sgd`` it is an L2 penalty added to the gradient; Adam
            divides it by the gradient's size like everything else, so weights with large gradients are hardly decayed.
            ``adamw`` shrinks each weight by ``lr * weight_decay`` a step whatever its gradient, and wants larger values
            (0.01 to 0.1).
        betas: decay of Adam's averages of the gradient and of its square.
        eps: added to Adam's denominator; larger makes small gradients count less.
        momentum: of SGD; 0 turns it off.
        nesterov: SGD looks ahead along its momentum.

    Raises:
        ConfigError: values out of range, all reported together.
        ModelError: there is nothing to train, or parameters have no shape yet.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    >>> optimizer = make_optimizer(model, name="adamw", weight_decay=0.01)
    >>> [(group["name"], len(group["params"])) for group in optimizer.param_groups]
    [('decayed', 2), ('undecayed', 4)]
    """
    check_optimizer_settings(
        name, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, momentum=momentum, nesterov=nesterov
    )
    groups = parameter_groups(model, weight_decay=weight_decay)
    for group in groups:
        group["initial_lr"] = lr  # the base on which schedules act
    fused = _can_fuse(model) or None
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)
    family = Adam if name == "adam" else AdamW
    return family(groups, lr=lr, betas=betas, eps=eps, fused=fused)


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters as groups for any torch optimiser, each with ``name``, ``params`` and ``weight_decay``.

    A single group when ``weight_decay`` is 0: a second one costs a twentieth of a small network's step for nothing.

    Raises:
        ModelError: there is nothing to train, or parameters have no shape yet.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    _check_parameters(model, trainable)
    if weight_decay == 0:
        return [{"name": "all", "params": trainable, "weight_decay": 0.0}]
    exempt = _undecayed(model)
    decayed = [parameter for parameter in trainable if id(parameter) not in exempt]
    undecayed = [parameter for parameter in trainable if id(parameter) in exempt]
    groups: list[dict[str, Any]] = [
        {"name": "decayed", "params": decayed, "weight_decay": weight_decay},
        {"name": "undecayed", "params": undecayed, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def spare_gradient_copies(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]) -> Callable[[], None]:
    """Keep fused steps of Adam and AdamW on a CPU from copying gradients of channels-last ``parameters``, to no use.

    The kernels (torch 2.14 at least) ask for a contiguous gradient, then read the one that they were given. During a
    step these gradients are therefore views with the channels as last axis: the same memory, and contiguous. A step of
    Adam on the 11 million weights of ResNet-18 took 9.0 ms, and takes 5.3 ms.

    Returns:
        A function that ends this.
    """
    # SGD is left: it makes its state from the gradient, and so in the shape of the view.
    groups = [group for group in optimizer.param_groups if group.get("fused")] if isinstance(optimizer, Adam) else []
    fused = {id(each) for group in groups for each in group["params"]}
    laid_out = [each for each in parameters if id(each) in fused and each.device.type == "cpu"]
    seen: list[Tensor] = []

    def before(*_: object) -> None:
        for parameter in laid_out:
            grad = parameter.grad
            if grad is not None and grad.is_contiguous(memory_format=torch.channels_last):
                grad.data = grad.data.permute(0, 2, 3, 1)
                seen.append(grad)

    def after(*_: object) -> None:
        for grad in seen:
            grad.data = grad.data.permute(0, 3, 1, 2)
        seen.clear()

    handles = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)] if laid_out else []

    def end() -> None:
        after()
        for handle in handles:
            handle.remove()

    return end


def match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimiser's state, and gradients, the memory layout of their parameters; values stay.

    Fused kernels walk through memory, not through indices: a state saved from a channels-last model and loaded for a
    contiguous one would silently be applied to the wrong weights. Call this after loading a state.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad = _laid_out_like(parameter.grad, parameter)
            state = optimizer.state.get(parameter, {})
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[key] = _laid_out_like(value, parameter)


def _laid_out_like(value: Tensor, parameter: Tensor) -> Tensor:
    if value.layout != torch.strided or value.stride() == parameter.stride():
        return value
    return torch.empty_strided(parameter.shape, parameter.stride(), dtype=value.dtype, device=value.device).copy_(value)


def _undecayed(model: nn.Module) -> set[int]:
    """Identities of the parameters without decay; a parameter that is shared counts as its first owner has it."""
    seen: set[int] = set()
    exempt: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            # By type first: a LayerNorm over an image has matrices. LSTMs call their biases bias_ih_l0 and so on.
            if isinstance(module, _NORMS) or name.startswith("bias") or parameter.ndim < 2:
                exempt.add(id(parameter))
    return exempt


def _can_fuse(model: nn.Module) -> bool:
    """Fused kernels take dense, real floating-point parameters on devices that have such kernels."""
    sparse = any(getattr(module, "sparse", False) for module in model.modules())
    return not sparse and all(
        parameter.is_floating_point() and parameter.device.type in _FUSED_DEVICES
        for parameter in model.parameters()
        if parameter.requires_grad
    )


def _check_parameters(model: nn.Module, trainable: list[nn.Parameter]) -> None:
    if any(is_lazy(parameter) for parameter in model.parameters()):
        raise ModelError(
            "the model has parameters without a shape",
            received=f"{type(model).__name__} with lazy modules",
            allowed="a model whose parameters exist",
            todo="call the model once on a batch before training it",
        )
    if not trainable:
        count = sum(1 for _ in model.parameters())
        raise ModelError(
            "the model has nothing to train",
            received=f"{type(model).__name__} with {count} parameter tensors, none with requires_grad",
            allowed="at least one parameter with requires_grad=True",
            todo="unfreeze a layer with layer.requires_grad_(True)" if count else "add a layer with parameters",
        )


def check_optimizer_settings(
    name: str,
    *,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """Refuse values out of range; the arguments are those of `make_optimizer`.

    Raises:
        ConfigError: all of them, reported together.
    """
    problems: list[Problem] = []

    def require(fine: bool, what: str, received: object, allowed: str, todo: str | None = None) -> None:
        if not fine:
            problems.append(Problem(what, received=repr(received), allowed=allowed, todo=todo))

    names = get_args(OptimizerName)
    require(name in names, "unknown optimiser", name, ", ".join(names), did_you_mean(str(name), names))
    require(0 <= lr < math.inf, "the learning rate is not usable", lr, "a finite number >= 0", "try 3e-4")
    require(0 <= weight_decay < math.inf, "the weight decay is not usable", weight_decay, "a finite number >= 0")
    usable = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
    require(usable, "the betas are not usable", betas, "two numbers in [0, 1)")
    require(0 <= eps < math.inf, "eps is not usable", eps, "a finite number >= 0")
    require(0 <= momentum < 1, "the momentum is not usable", momentum, "a number in [0, 1)")
    if nesterov and name == "sgd":
        require(momentum > 0, "Nesterov's method needs momentum", momentum, "momentum > 0", "set momentum=0.9")
    if problems:
        raise ConfigError(problems)
