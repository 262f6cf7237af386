"""How models are put together: layers exchanged after an optimiser was made, ties, freezes of no effect, deep copies.

Seams: torch's global registration hooks, `nn.Module.__setattr__`, `copy.deepcopy`. Not here: the verdict.
"""

from __future__ import annotations

import copy
import difflib
import sys
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as seams

from mlkit.debug.observe.patches import Patches
from mlkit.debug.sites import Site

if TYPE_CHECKING:
    from mlkit.debug.session import Session

FLAG = "requires_grad"
NAMES_LIMIT = 5000


class StructureWatch:
    """What the program did to its modules while it put them together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._handles: list[Any] = []
        self._slots: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        self._ties: list[tuple[weakref.ref[nn.Module], str, weakref.ref[nn.Module], str]] = []
        self._assigned: dict[tuple[int, str], Site | None] = {}
        self._flagged: list[tuple[weakref.ref[nn.Module], Site | None]] = []
        self._copies: weakref.WeakKeyDictionary[nn.Module, tuple[weakref.ref[nn.Module], Site | None, list[float]]]
        self._copies = weakref.WeakKeyDictionary()
        self._joined: weakref.WeakKeyDictionary[nn.Module, Site | None] = weakref.WeakKeyDictionary()
        self._exchanged: weakref.WeakKeyDictionary[nn.Module, Site | None] = weakref.WeakKeyDictionary()
        self._prints: dict[int, tuple[nn.Module, list[float]]] = {}
        self._has_looked: set[int] = set()

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        patches.around(nn.Module, "__setattr__", self._around_setattr)
        patches.around(copy, "deepcopy", self._around_deepcopy)
        self._handles = [
            seams.register_module_parameter_registration_hook(self._parameter_registered),
            seams.register_module_module_registration_hook(self._module_registered),
        ]

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    # ---------------------------------------------------------------- seams

    def _around_setattr(self, original: Any) -> Any:
        def call(module: nn.Module, name: str, value: Any) -> None:
            original(module, name, value)
            if name == FLAG and value is False and self._session.is_recording:
                self._flagged.append((weakref.ref(module), self._session.locator.here(sys._getframe(1))))

        return call

    def _around_deepcopy(self, original: Any) -> Any:
        def call(value: Any, memo: Any = None, *args: Any, **kwargs: Any) -> Any:
            result = original(value, memo, *args, **kwargs)
            if memo is None and isinstance(value, nn.Module) and self._session.is_recording:
                site = self._session.locator.here(sys._getframe(1))
                with self._session.quietly():
                    self._copies[result] = (weakref.ref(value), site, _norms(result))
                    self._session.modules.copied(value, result)
            return result

        return call

    def _parameter_registered(self, module: nn.Module, name: str, parameter: Any) -> None:
        if not isinstance(parameter, Tensor) or not self._session.is_recording:
            return
        known = self._slots.get(id(parameter))
        if known is None:
            if len(self._slots) < NAMES_LIMIT:
                self._slots[id(parameter)] = (weakref.ref(module), name)
        else:
            owner = known[0]()
            if owner is None or owner._parameters.get(known[1]) is not parameter:
                self._slots[id(parameter)] = (weakref.ref(module), name)
            elif owner is not module:
                self._ties.append((known[0], known[1], weakref.ref(module), name))
        if name == "weight" and isinstance(module, (nn.Embedding, nn.Linear)):
            frame = sys._getframe(1)
            if not _is_constructing(frame, module):
                self._exchanged[module] = self._session.locator.here(frame)
        if self._ties:
            self._assigned[id(module), name] = self._session.locator.here(sys._getframe(1))

    def _module_registered(self, owner: nn.Module, name: str, module: Any) -> None:
        session = self._session
        if not isinstance(module, nn.Module) or not session.is_recording or not session.facts.optimizers:
            return
        models = session.modules.models()
        if not any(one is owner for model in models for one in model.modules()):
            return
        site = session.locator.here(sys._getframe(1))
        for part in module.modules():
            self._joined[part] = site
        session.phase_may_begin()

    def weight_assigned_at(self, module: nn.Module) -> Site | None:
        """The line that put another weight into a layer after its construction, or None."""
        return self._exchanged.get(module)

    # ---------------------------------------------------------------- models

    def know(self, module: nn.Module) -> None:
        """A model is called for the first time."""
        self._prints[id(module)] = (module, _norms(module))
        facts = self._session.facts.parameters
        for part in module.modules():
            for parameter in part.parameters(recurse=False):
                mine = facts[self._session.modules.parameter_key(parameter)]
                mine.site = mine.site or self._session.modules.made_at(part)

    def look_at_parameters(self) -> None:
        """Before a step that is looked at: where each parameter's module joined, and freezes of no effect."""
        session = self._session
        for number, model in enumerate(session.modules.models()):
            listed = dict.fromkeys(session.facts.models[number].parameters)
            for part in model.modules():
                for name, parameter in part.named_parameters(recurse=False):
                    key = session.modules.parameter_key(parameter)
                    if key not in listed:  # a layer that was exchanged
                        session.facts.models[number].parameters.append(key)
                    mine = session.facts.parameters[key]
                    if not mine.name:
                        mine.name, mine.module_kind = (
                            f"{type(model).__name__}.{_path(model, part)}{name}",
                            type(part).__name__,
                        )
                    mine.site = mine.site or session.modules.made_at(part)
                    mine.joined_at = mine.joined_at or self._joined.get(part)
                    mine.is_loaded = mine.is_loaded or id(parameter) in session.modules.loaded
        self._look_at_flags()

    def _look_at_flags(self) -> None:
        session, facts = self._session, self._session.facts
        for reference, site in self._flagged:
            module = reference()
            if module is not None and FLAG in vars(module):
                keys = [session.modules.parameter_key(one) for one in module.parameters() if one.requires_grad]
                if keys:
                    facts.plain_freezes.append((type(module).__name__, site, keys))
        self._flagged = []
        for tensor, key in list(session.modules.parameters()):
            if key in self._has_looked:
                continue
            self._has_looked.add(key)
            for name, value in vars(tensor).items():
                if value is False and name != FLAG and tensor.requires_grad and _is_like_flag(name):
                    facts.plain_freezes.append((f"parameter: {name}", None, [key]))

    def look_again(self) -> None:
        """At the end: which models changed, which are copies of which, and which ties are broken."""
        session = self._session
        keys = {id(module): key for key, module in enumerate(session.modules.models())}
        for number, (module, norms) in self._prints.items():
            facts = session.facts.models.get(keys.get(number, -1))
            if facts is None:
                continue
            if module in self._copies:
                source, facts.copy_site, norms = self._copies[module]
                facts.copy_of = keys.get(id(source()))
            facts.has_moved = _norms(module) != norms
        for first, one, second, other in self._ties:
            left, right = first(), second()
            if left is None or right is None:
                continue
            a, b = left._parameters.get(one), right._parameters.get(other)
            if a is None or b is None or a is b or a.shape != b.shape or not (a.requires_grad and b.requires_grad):
                continue
            site = self._assigned.get((id(left), one)) or self._assigned.get((id(right), other))
            session.facts.broken_ties.append((self._name(left, one), self._name(right, other), site))

    def _name(self, module: nn.Module, name: str) -> str:
        for model in self._session.modules.models():
            if any(part is module for part in model.modules()):
                return f"{type(model).__name__}.{_path(model, module)}{name}"
        return f"{type(module).__name__}.{name}"


def _is_constructing(frame: FrameType | None, module: nn.Module) -> bool:
    for _ in range(6):
        if frame is None:
            return False
        code = frame.f_code
        if code.co_name == "__init__" and frame.f_locals.get(code.co_varnames[0] if code.co_varnames else "") is module:
            return True
        frame = frame.f_back
    return False


def _path(model: nn.Module, part: nn.Module) -> str:
    return next((f"{name}." for name, one in model.named_modules() if one is part and name), "")


def _is_like_flag(name: str) -> bool:
    return name == "trainable" or difflib.SequenceMatcher(None, name, FLAG).ratio() > 0.85


def _norms(module: nn.Module) -> list[float]:
    tensors = [one.detach() for one in module.parameters() if one.is_floating_point()]
    return [float(norm) for norm in torch._foreach_norm(tensors)] if tensors else []
