"""Between a stack and its members: names that decay, a member's rows, states joined.

Not here: stacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mlkit.engine.optimizers import parameter_groups
from mlkit.population.stacked.errors import cannot_stack


def decayed_names(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that weight decay acts on, by the engine's own rule.

    >>> sorted(decayed_names(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))))
    ['0.weight']
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return frozenset()
    groups = parameter_groups(model, weight_decay=1.0)
    decayed = {id(p) for group in groups if group["name"] == "decayed" for p in group["params"]}
    return frozenset(name for name, parameter in model.named_parameters() if id(parameter) in decayed)


def rows_of(tensors: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    """One member's part of each tensor, as copies."""
    return {name: tensor[member].detach().clone() for name, tensor in tensors.items()}


def stack_states(states: Sequence[Mapping[str, Tensor]], size: int) -> dict[str, Tensor]:
    """State dictionaries of all members as one.

    Raises:
        CannotStackError: there are not as many as members, or their names differ.
    """
    if len(states) != size or any(state.keys() != states[0].keys() for state in states):
        raise cannot_stack("", "one state a member is needed, all with the same names", received=len(states))
    return {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
