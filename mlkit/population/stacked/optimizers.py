"""Adam, AdamW and SGD of a whole stack, every member with its own numbers, by the fastest kernels that do it.

Not here: clipping (`mlkit.population.stacked.clipping`), the rule which parameters decay (`mlkit.engine.optimizers`)
and schedules, which come as factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from mlkit.errors import CheckpointError, ConfigError
from mlkit.population.stacked.settings import OptimizerSettings, check_settings

Way = Literal["together", "direction", "rows"]

# From so many parameters a member on, a call for each is as fast as the direction, and needs no buffer for it. One
# thread, K = 32, each member with its own rate (ms a step, direction and rows): MLP 20-64-64 0.14 and 0.59, MLP 784-128
# 2.3 and 2.3. With one rate for all, one call takes 0.09 and 2.0.
LARGE = 100_000


class HasParameters(Protocol):
    """What a `Stack` and a `VmapStack` have."""

    parameters: dict[str, Tensor]
    decayed: frozenset[str]

    @property
    def size(self) -> int:
        """Members."""


class StackedOptimizer:
    """Updates of all members.

    Three ways, the first that fits:

    - ``"together"``: all members have the same numbers, so one fused call does;
    - ``"direction"``: they differ in learning rate and decay only. One fused call with a learning rate of 1 writes
      Adam's direction into a buffer; one more pass adds it, times each member's own rate;
    - ``"rows"``: one fused call a member.

    Args:
        stack: its parameters are updated in place.
        settings: one a member; same family.

    Raises:
        ConfigError: settings that cannot be right or do not go together.
    """

    def __init__(self, stack: HasParameters, settings: Sequence[OptimizerSettings]) -> None:
        if len(settings) != stack.size:
            raise ConfigError("one setting a member is needed", received=len(settings), allowed=stack.size)
        check_settings(settings)
        self.stack = stack
        self.settings = list(settings)
        self.name = settings[0].name
        kinds = ("momentum",) if self.name == "sgd" else ("exp_avg", "exp_avg_sq")
        self.moments = {kind: {name: torch.zeros_like(p) for name, p in self._parameters().items()} for kind in kinds}
        self.steps = {name: torch.zeros((), device=p.device) for name, p in stack.parameters.items()}
        self._directions: dict[str, Tensor] = {}
        self._prepare()

    def _parameters(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.stack.parameters.items()}

    def _prepare(self) -> None:
        """Numbers of the members as tensors, and the way that their equality and size call for."""
        device = next(iter(self.stack.parameters.values())).device
        self.rates = torch.tensor([one.lr for one in self.settings], dtype=torch.float64)
        self.decays = torch.tensor([one.weight_decay for one in self.settings], dtype=torch.float64)
        self.momenta = torch.tensor([one.momentum for one in self.settings], dtype=torch.float64)
        self.decays_at_all = bool(self.decays.any())
        per_member = sum(p.numel() for p in self.stack.parameters.values()) / max(1, len(self.settings))
        self.way = choose_way(self.settings, per_member, device.type)
        self._directions.clear()

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], *, factors: Tensor, active: Tensor) -> None:
        """One update.

        Args:
            gradients: ``(K, *shape)`` by name; parameters without one are left alone, as by torch's optimisers.
            factors: ``(K,)``, of the learning rate at this step.
            active: bool ``(K,)``; where it is False, neither parameters nor moments change, whatever the gradient is.
        """
        parameters = self._parameters()
        names = [name for name in parameters if name in gradients]
        if not names:
            return
        gradients = {name: _laid_out_like(gradients[name], parameters[name]) for name in names}
        rates = self.rates * factors.to("cpu", torch.float64)
        torch._foreach_add_([self.steps[name] for name in names], 1)
        going = active.tolist()
        way = self.way
        if way == "together" and len(set(rates.tolist())) > 1:
            way = "direction"
        if way == "rows":
            self._rows(names, parameters, gradients, rates.tolist(), going)
            return
        frozen = torch.tensor([k for k, goes in enumerate(going) if not goes], dtype=torch.int64)
        kept = self._keep(names, parameters, frozen) if len(frozen) else []
        if way == "together":
            self._fused(parameters, gradients, self.moments, self.settings[0], float(rates[0]), names)
        else:
            self._direction(names, parameters, gradients, rates)
        for tensor, index, rows in kept:
            tensor.index_copy_(0, index, rows)

    def _keep(
        self, names: Sequence[str], parameters: Mapping[str, Tensor], frozen: Tensor
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The rows of members that do not move, to be put back: cheaper than a mask over all, as most members move."""
        tensors = [parameters[name] for name in names]
        tensors += [moments[name] for moments in self.moments.values() for name in names]
        index = frozen.to(tensors[0].device)
        return [(tensor, index, tensor.index_select(0, index)) for tensor in tensors]

    def _rows(
        self,
        names: Sequence[str],
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        rates: Sequence[float],
        going: Sequence[bool],
    ) -> None:
        rows = [_unbound(tensors, names) for tensors in (parameters, gradients, *self.moments.values())]
        for k, one in enumerate(self.settings):
            if going[k]:
                own = [{name: members[k] for name, members in part.items()} for part in rows]
                self._fused(own[0], own[1], dict(zip(self.moments, own[2:], strict=True)), one, rates[k], names)

    def _fused(
        self,
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        moments: Mapping[str, Mapping[str, Tensor]],
        one: OptimizerSettings,
        rate: float,
        names: Sequence[str],
    ) -> None:
        """Torch's own kernel, once for what decays and once for what does not."""
        groups: list[tuple[float, list[str]]] = [(0.0, list(names))]
        if one.weight_decay:
            decayed = self.stack.decayed
            groups = [
                (one.weight_decay, [n for n in names if n in decayed]),
                (0.0, [n for n in names if n not in decayed]),
            ]
        for decay, group in groups:
            if group:
                lists = [[part[name] for name in group] for part in (parameters, gradients, *moments.values())]
                _call(one, lists, [self.steps[name] for name in group], rate=rate, decay=decay)

    def _direction(
        self, names: Sequence[str], parameters: Mapping[str, Tensor], gradients: dict[str, Tensor], rates: Tensor
    ) -> None:
        decayed = [name for name in names if name in self.stack.decayed] if self.decays_at_all else []
        if self.name == "adamw":
            for name in decayed:
                parameters[name].mul_(_per(1 - rates * self.decays, parameters[name]))
        else:
            for name in decayed:
                gradients[name] = torch.addcmul(gradients[name], parameters[name], _per(self.decays, parameters[name]))
        own = [parameters[name] for name in names]
        directions = (
            self._sgd_directions(names, gradients) if self.name == "sgd" else self._adam_directions(names, gradients)
        )
        torch._foreach_addcmul_(own, directions, [_per(rates if self.name != "sgd" else -rates, p) for p in own])

    def _adam_directions(self, names: Sequence[str], gradients: Mapping[str, Tensor]) -> list[Tensor]:
        if not self._directions:
            self._directions = {name: torch.empty_like(p) for name, p in self._parameters().items()}
        directions = [self._directions[name] for name in names]
        torch._foreach_zero_(directions)
        lists = [directions, [gradients[n] for n in names], *([m[n] for n in names] for m in self.moments.values())]
        _call(self.settings[0], lists, [self.steps[name] for name in names], rate=1.0, decay=0.0)
        return directions

    def _sgd_directions(self, names: Sequence[str], gradients: Mapping[str, Tensor]) -> list[Tensor]:
        own = [gradients[name] for name in names]
        averages = [self.moments["momentum"][name] for name in names]
        momenta = [_per(self.momenta, average) for average in averages]
        torch._foreach_mul_(averages, momenta)
        torch._foreach_add_(averages, own)
        if not self.settings[0].nesterov:
            return averages
        return list(torch._foreach_addcmul(own, averages, momenta))

    def select(self, members: Sequence[int]) -> None:
        """Keep these members, after the stack has done so."""
        index = torch.tensor(list(members), dtype=torch.int64)
        self.settings = [self.settings[k] for k in members]
        for moments in self.moments.values():
            for name, tensor in moments.items():
                moments[name] = tensor.index_select(0, index.to(tensor.device))
        self._prepare()

    def state(self) -> dict[str, Tensor]:
        """All that the updates have left behind, as copies."""
        found = {f"step.{name}": step.clone() for name, step in self.steps.items()}
        for kind, moments in self.moments.items():
            found |= {f"{kind}.{name}": tensor.clone() for name, tensor in moments.items()}
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """What `state` gave, of an optimiser of the same members.

        Raises:
            CheckpointError: names or shapes are others.
        """
        own = {f"step.{name}": step for name, step in self.steps.items()}
        for kind, moments in self.moments.items():
            own |= {f"{kind}.{name}": tensor for name, tensor in moments.items()}
        if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
            raise CheckpointError("the optimiser's state does not fit the stack", received=f"{len(state)} tensors")
        for name, tensor in own.items():
            tensor.copy_(state[name])

    def state_of(self, member: int) -> dict[str, dict[str, Tensor]]:
        """One member's state by parameter, with the keys of torch's optimisers."""
        theirs = {"momentum": "momentum_buffer"}
        return {
            name: {"step": step.clone()}
            | {theirs.get(kind, kind): moments[name][member].clone() for kind, moments in self.moments.items()}
            for name, step in self.steps.items()
        }


def choose_way(settings: Sequence[OptimizerSettings], per_member: float, device: str) -> Way:
    """The way in which a stack is updated; see `StackedOptimizer`.

    Args:
        settings: of the members.
        per_member: parameters of one.
        device: type of it.
    """
    first = settings[0]
    if len({(one.lr, *one.scalars()) for one in settings}) == 1:
        return "together"
    if device == "cpu" and per_member > LARGE:
        return "rows"
    if first.name == "sgd" or len({one.scalars()[1:] for one in settings}) == 1:
        return "direction"
    return "rows"


def _call(one: OptimizerSettings, lists: list[list[Tensor]], steps: list[Tensor], *, rate: float, decay: float) -> None:
    if one.name == "sgd":
        torch._fused_sgd_(
            *lists,
            weight_decay=decay,
            momentum=one.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=one.nesterov,
            maximize=False,
            is_first_step=False,  # the average starts at zero, so its first step is the gradient anyhow
        )
        return
    kernel = torch._fused_adam_ if one.name == "adam" else torch._fused_adamw_
    parameters, gradients, averages, squares = lists
    kernel(
        parameters,
        gradients,
        averages,
        squares,
        [],
        steps,
        lr=rate,
        beta1=one.betas[0],
        beta2=one.betas[1],
        weight_decay=decay,
        eps=one.eps,
        amsgrad=False,
        maximize=False,
    )


def _per(numbers: Tensor, like: Tensor) -> Tensor:
    """One number a member, to be broadcast over its part of ``like``."""
    return numbers.to(like.device, like.dtype).view(-1, *[1] * (like.ndim - 1))


def _unbound(tensors: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, tuple[Tensor, ...]]:
    return {name: tensors[name].unbind() for name in names}


def _laid_out_like(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Fused kernels walk through memory, not through indices."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
