"""Other libraries that train several models as one, behind one function each: models and a batch in, a step out.

Used by `population_layers.py` and `population_support.py`; a library that is not installed is left out. Each is used
as its documentation says, with a learning rate for each member where it can have that: torchmb cannot, and trains all
with the first. chorus-torch needs Python 3.13.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from harness import is_installed
from torch import Tensor, nn
from torch.nn import functional as F


class Peer(NamedTuple):
    """A library's stack of some models."""

    outputs: Callable[[Tensor], Tensor]  # a shared batch (B, …) to (K, B, …)
    step: Callable[[Tensor, Tensor], None]  # one step of training
    gradients: Callable[[], list[dict[str, Tensor]]]  # of each member, by name, after a backward pass of one's own


def chorus(models: Sequence[nn.Module], lrs: Sequence[float]) -> Peer:
    import chorus

    stack = chorus.Stack([copy.deepcopy(model) for model in models])
    optimizer = chorus.StackedAdam(stack, lr=list(lrs), weight_decay=0.0, decoupled=False)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        chorus.stacked_cross_entropy(stack(x), y).backward()
        optimizer.step()

    return Peer(stack, step, lambda: by_member(stack.named_parameters(), len(models)))


def modelbatch(models: Sequence[nn.Module], lrs: Sequence[float]) -> Peer:
    from modelbatch import ModelBatch
    from modelbatch.optimizer import OptimizerFactory, create_adam_configs

    stack = ModelBatch([copy.deepcopy(model) for model in models], shared_input=True)
    optimizer = OptimizerFactory(torch.optim.Adam).create_optimizer(stack, create_adam_configs(list(lrs)))

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        stack.compute_loss(stack(x), y, F.cross_entropy).backward()
        optimizer.step()

    return Peer(stack, step, lambda: by_member(stack.stacked_params.items(), len(models)))


def torchmb(models: Sequence[nn.Module], lrs: Sequence[float]) -> Peer:
    from torchmb import BatchModule
    from torchmb.functional import batch_loss

    size = len(models)
    stack = BatchModule(copy.deepcopy(models[0]), batch=size, inplace=False)
    stack.load_state_dicts([model.state_dict() for model in models])
    optimizer = torch.optim.Adam([value for _, value in stack.named_parameters()], lr=lrs[0], fused=True)

    def outputs(x: Tensor) -> Tensor:
        found: Tensor = stack(x.expand(size, *x.shape))
        return found

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        batch_loss(outputs(x), y.expand(size, *y.shape), size).sum().backward()
        optimizer.step()

    return Peer(outputs, step, lambda: by_member(stack.named_parameters(), size))


def by_member(stacked: Any, size: int) -> list[dict[str, Tensor]]:
    found: list[dict[str, Tensor]] = [{} for _ in range(size)]
    for name, value in stacked:
        if value.grad is not None:
            for place in range(size):
                found[place][name] = value.grad[place]
    return found


MakePeer = Callable[[Sequence[nn.Module], Sequence[float]], Peer]
PEERS: dict[str, MakePeer] = {"chorus-torch": chorus, "modelbatch": modelbatch, "torchmb": torchmb}


def installed() -> dict[str, MakePeer]:
    """The libraries that are here, by the name of their distribution."""
    return {name: make for name, make in PEERS.items() if is_installed(name)}
