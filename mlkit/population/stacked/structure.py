"""Whether several models are the same but for their numbers: class, plain attributes, shapes, nothing hooked in.

One member's code runs for all, so a flag that differs would be no error but a wrong answer. Not here: which layers can
be stacked (`mlkit.population.stacked.convert`).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from mlkit.population.stacked.dropout import RANDOM, KeyedDropout
from mlkit.population.stacked.errors import cannot_stack

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)
_REGISTRIES = frozenset({"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"})
# Numbers that a stack holds for each member, and what nn.LSTM and nn.GRU keep beside their parameters.
_OWN = {
    nn.Dropout: frozenset({"p"}),
    KeyedDropout: frozenset({"p", "key", "step", "calls"}),
    nn.RNNBase: frozenset({"_flat_weights", "_flat_weight_refs", "dropout", "between"}),
}


def check_same(models: Sequence[nn.Module]) -> None:
    """Refuse members of which one's code would not do for the others.

    Raises:
        CannotStackError: with the first module that differs, or that has hooks, lazy or computed parameters.
    """
    if not models:
        raise cannot_stack("", "there are no members")
    trees = [dict(model.named_modules(remove_duplicate=False)) for model in models]
    for name, module in trees[0].items():
        check_plain(name, module)
    for number, tree in enumerate(trees[1:], start=1):
        if tree.keys() != trees[0].keys():
            differing = sorted(tree.keys() ^ trees[0].keys())
            raise cannot_stack(differing[0], f"member 0 and member {number} do not have the same modules")
        for name, module in tree.items():
            check_plain(name, module)
            _compare(name, trees[0][name], module, number)
        if _sharing(models[0]) != _sharing(models[number]):
            raise cannot_stack("", f"member 0 and member {number} share parameters between layers differently")


def check_plain(name: str, module: nn.Module) -> None:
    """Refuse what changes a module from outside, and what draws from the global generator."""
    hooked = next((hook for hook in _HOOKS if getattr(module, hook, None)), None)
    if parametrize.is_parametrized(module):
        raise cannot_stack(name, "its parameters are computed from others (parametrised)")
    if hooked is not None:
        raise cannot_stack(name, f"it has hooks ({hooked.strip('_')})")
    if any(is_lazy(t) for t in [*module._parameters.values(), *module._buffers.values()] if t is not None):
        raise cannot_stack(name, "its parameters have no shape yet", todo="call the model once on a batch")
    if isinstance(module, RANDOM):
        raise cannot_stack(name, f"{type(module).__name__} draws random numbers that cannot be keyed")


def _compare(name: str, first: nn.Module, other: nn.Module, number: int) -> None:
    def differ(what: str, a: object, b: object) -> Exception:
        return cannot_stack(
            name, f"{what} differs between member 0 and member {number}", received=f"{_short(a)} and {_short(b)}"
        )

    if type(first) is not type(other):
        raise differ("the class", type(first).__name__, type(other).__name__)
    for kind in ("_parameters", "_buffers"):
        mine, theirs = getattr(first, kind), getattr(other, kind)
        for key in sorted(mine.keys() | theirs.keys()):
            a, b = mine.get(key), theirs.get(key)
            if _kind_of(a) != _kind_of(b):
                raise differ(key, _kind_of(a), _kind_of(b))
    own = frozenset().union(*(names for cls, names in _OWN.items() if isinstance(first, cls)))
    keys = (vars(first).keys() | vars(other).keys()) - _REGISTRIES - own - set(_HOOKS)
    for key in sorted(keys):
        a, b = vars(first).get(key), vars(other).get(key)
        if not same(a, b):
            raise differ(key, a, b)


def _kind_of(tensor: Tensor | None) -> tuple[object, ...] | None:
    if tensor is None:
        return None
    return tuple(tensor.shape), tensor.dtype, tensor.device, tensor.requires_grad


def _sharing(model: nn.Module) -> list[list[str]]:
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return sorted(names.values())


def same(a: object, b: object) -> bool:
    """Whether two plain attributes do the same; False when in doubt.

    >>> same(lambda x: x + 1, lambda x: x + 1), same([1, 2.0], [1, 3.0])
    (True, False)
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return _kind_of(a) == _kind_of(cast("Tensor", b)) and torch.equal(a, cast("Tensor", b))
    if isinstance(a, (list, tuple)):
        others = cast("Sequence[object]", b)
        return len(a) == len(others) and all(same(x, y) for x, y in zip(a, others, strict=True))
    if isinstance(a, Mapping):
        other = cast("Mapping[object, object]", b)
        return a.keys() == other.keys() and all(same(a[key], other[key]) for key in a)
    if isinstance(a, functools.partial):
        other_call = cast("functools.partial[object]", b)
        return same([a.func, a.args, a.keywords], [other_call.func, other_call.args, other_call.keywords])
    if isinstance(a, types.FunctionType):
        return _same_function(a, cast("types.FunctionType", b))
    if isinstance(a, nn.Module):  # a plain list of modules: compared as a tree would be, by attributes
        return not list(a.state_dict()) and same(_plain(a), _plain(cast("nn.Module", b)))
    try:
        return bool(a == b)
    except Exception:  # whatever its __eq__ does with another
        return False


def _plain(module: nn.Module) -> dict[str, object]:
    return {key: value for key, value in vars(module).items() if key not in _HOOKS}


def _same_function(a: types.FunctionType, b: types.FunctionType) -> bool:
    """Made by the same code with the same values, as when each member's model makes its own lambda."""
    cells = [[cell.cell_contents for cell in f.__closure__ or ()] for f in (a, b)]
    # Where code stands counts towards its equality in Python, so two lambdas of one line differ; their parts do not.
    parts = [(f.__code__.co_code, f.__code__.co_names, f.__code__.co_varnames) for f in (a, b)]
    constants = [f.__code__.co_consts for f in (a, b)]
    return (
        parts[0] == parts[1]
        and same(constants[0], constants[1])
        and a.__globals__ is b.__globals__
        and same(a.__defaults__, b.__defaults__)
        and same(cells[0], cells[1])
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
