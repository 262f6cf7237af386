"""What the batched back ends are made of: stacks of models, their optimisers, losses and keyed random numbers.

Not here: members, rungs and which back end is taken (`mlkit.population`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.population.stacked.clipping import clip_, gradient_norms
    from mlkit.population.stacked.convert import register_stacked, supported
    from mlkit.population.stacked.dropout import KeyedDropout, set_step, use_keyed_dropout
    from mlkit.population.stacked.errors import CannotStackError
    from mlkit.population.stacked.kernels import KernelChoice, choose_kernels
    from mlkit.population.stacked.keyed import fold_in, keyed_uniform
    from mlkit.population.stacked.losses import member_losses
    from mlkit.population.stacked.optimizers import StackedOptimizer
    from mlkit.population.stacked.settings import OptimizerSettings
    from mlkit.population.stacked.stack import Inputs, Stack
    from mlkit.population.stacked.vmapped import VmapStack

_WHERE = {
    "CannotStackError": "errors",
    "Inputs": "stack",
    "KernelChoice": "kernels",
    "KeyedDropout": "dropout",
    "OptimizerSettings": "settings",
    "Stack": "stack",
    "StackedOptimizer": "optimizers",
    "VmapStack": "vmapped",
    "choose_kernels": "kernels",
    "clip_": "clipping",
    "fold_in": "keyed",
    "gradient_norms": "clipping",
    "keyed_uniform": "keyed",
    "member_losses": "losses",
    "register_stacked": "convert",
    "set_step": "dropout",
    "supported": "convert",
    "use_keyed_dropout": "dropout",
}

__all__ = [
    "CannotStackError",
    "Inputs",
    "KernelChoice",
    "KeyedDropout",
    "OptimizerSettings",
    "Stack",
    "StackedOptimizer",
    "VmapStack",
    "choose_kernels",
    "clip_",
    "fold_in",
    "gradient_norms",
    "keyed_uniform",
    "member_losses",
    "register_stacked",
    "set_step",
    "supported",
    "use_keyed_dropout",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
