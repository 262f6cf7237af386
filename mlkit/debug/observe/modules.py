"""Calls of modules: which of them the user's code made itself, in which mode, on what; and whose parameters are whose.

Seam: torch's global module hooks, and `nn.Module.train` and `eval`.
Not here: what the modes mean.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as seams
from torch.optim import Optimizer

from mlkit.debug.facts import CallFacts, ModeFacts, ModelFacts, ParameterFacts
from mlkit.debug.observe.patches import Patches
from mlkit.debug.sites import Site
from mlkit.debug.trace import Call, ModuleCall, modules_by_name, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session

MODE_SENSITIVE = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
CALLS_LIMIT = 400


class ModuleWatch:
    """Global hooks before and after every forward, while they are wanted; the models and parameters seen so far."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._handles: list[Any] = []
        self._stack: list[tuple[nn.Module, int, Site | None]] = []  # module, index of its first op, its site
        self._names: dict[int, tuple[nn.Module, dict[int, str]]] = {}
        self._current: tuple[str, ...] = ()
        self._models: dict[int, nn.Module] = {}
        self._keys: dict[int, int] = {}
        self._parameters: dict[int, tuple[Tensor, int]] = {}
        self._made: weakref.WeakKeyDictionary[nn.Module, Site | None] = weakref.WeakKeyDictionary()
        self._mode_depth = 0
        self._last_training: dict[int, bool] = {}
        self._owned: dict[tuple[int, int], list[tuple[int, nn.Module, list[nn.Module]]]] = {}
        self._last_input: tuple[object, int] = (None, 0)
        self.loaded: set[int] = set()
        """Ids of parameters that a state dictionary gave their value."""
        self.running_root: nn.Module | None = None
        """The module that the user's code called last, whether it returned or raised."""
        self.calls = 0

    # ---------------------------------------------------------------- on and off

    def watch(self, patches: Patches) -> None:
        """Take note of where modules are made, and of every ``train()`` and ``eval()`` that the user's code calls."""
        patches.around(nn.Module, "train", self._around_train)
        patches.around(nn.Module, "__init__", self._around_init)

    @property
    def is_on(self) -> bool:
        return bool(self._handles)

    def start(self) -> None:
        if not self._handles:
            self._handles = [
                seams.register_module_forward_pre_hook(self._before),
                seams.register_module_forward_hook(self._after, with_kwargs=True, always_call=True),
            ]

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._stack = []
        self._current = ()

    # ---------------------------------------------------------------- calls

    def names(self) -> tuple[str, ...]:
        """Names of the modules whose forward runs now, outermost first."""
        return self._current

    def _name(self, module: nn.Module) -> str:
        if not self._stack:
            return type(module).__name__
        root = self._stack[0][0]
        known = self._names.get(id(root))
        if known is None or id(module) not in known[1]:
            names = {id(one): name for name, one in modules_by_name(root)}
            known = self._names[id(root)] = (root, names)
        return known[1].get(id(module), type(module).__name__)

    def _before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        session = self._session
        if not session.is_recording:
            return
        try:
            if not self._stack:
                session.before_call(module)
                self.running_root = module
            site = session.locator.here(sys._getframe(1)) if session.is_tracing or not self._stack else None
            self._stack.append((module, len(session.trace.ops), site))
            self._current = (*self._current, self._name(module))
        except Exception as error:
            session.failed("module hook", error)

    def _after(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> None:
        # Torch gives keyword arguments and output; after an exception only the output, which is None.
        kwargs, output = rest if len(rest) == 2 else ({}, rest[0])
        session = self._session
        if not session.is_recording or not self._stack:
            return
        try:
            while self._stack and self._stack[-1][0] is not module:  # frames that an exception left behind
                self._stack.pop()
                self._current = self._current[:-1]
            if not self._stack:
                return
            _, start, site = self._stack.pop()
            name, self._current = self._current[-1], self._current[:-1]
            stop = len(session.trace.ops)
            if session.is_tracing:
                session.trace.module_calls.append(ModuleCall(module, name, args, output, start, stop, site))
            if not self._stack:
                self.calls += 1
                graph = torch.is_grad_enabled()
                values = (args, dict(kwargs), output, start, stop)
                session.after_call(Call(module, *values, module.training, graph, site, self.calls))
        except Exception as error:
            session.failed("module hook", error)

    def note_call(self, call: Call, *, loader: int | None) -> CallFacts | None:
        """Facts of a call of a model; None when there were enough."""
        facts = self._session.facts
        self._know(call.module)
        is_awaited = not call.grad_enabled and self._session.awaits_evaluation
        if len(facts.calls) > CALLS_LIMIT + (50 if is_awaited else 0):
            return None
        first = next(iter(tensors_in([call.args, call.kwargs])), None)
        last, repeats = self._last_input
        repeats = repeats + 1 if first is not None and last is first else 0
        self._last_input = (first, repeats)
        note = CallFacts(
            model=type(call.module).__name__,
            model_key=self._keys[id(call.module)],
            step=self._session.step,
            training=call.training,
            mixed_modes=[
                name
                for name, one in modules_by_name(call.module)
                if is_mode_sensitive(one) and one.training != call.training
            ][:8],
            grad_enabled=call.grad_enabled,
            site=call.site,
            led_to_backward=None if call.grad_enabled else False,
            loader=loader,
            batch=first.shape[0] if first is not None and first.dim() else None,
            mode_sensitive=facts.models[self._keys[id(call.module)]].mode_sensitive,
            repeats=repeats,
            weights=next((self.parameter_key(one) for one in call.module.parameters()), None),
        )
        facts.calls.append(note)
        return note

    # ---------------------------------------------------------------- models and parameters

    def models(self) -> list[nn.Module]:
        """Models that the user's code called, in the order of their first call."""
        return list(self._models.values())

    def parameters(self) -> Iterator[tuple[Tensor, int]]:
        """Every known parameter with its key."""
        yield from self._parameters.values()

    def _know(self, module: nn.Module) -> None:
        if id(module) in self._models:
            return
        key = len(self._keys)
        within = next((n for other, n in self._keys.items() if _holds(self._models[other], module)), None)
        self._models[id(module)] = module
        self._keys[id(module)] = key
        kinds = {id(one): type(owner).__name__ for owner in module.modules() for one in owner.parameters(recurse=False)}
        for name, parameter in module.named_parameters():
            self.parameter_key(parameter, f"{type(module).__name__}.{name}", kinds.get(id(parameter), ""))
        sensitive = {type(one).__name__ for one in module.modules() if is_mode_sensitive(one)}
        self._session.facts.models[key] = ModelFacts(
            key=key,
            kind=type(module).__name__,
            site=self.made_at(module),
            parameters=[self.parameter_key(one) for one in module.parameters()],
            mode_sensitive=tuple(sorted(sensitive)),
            is_part_of=within,
        )
        self._session.structure.know(module)

    def made_at(self, module: nn.Module) -> Site | None:
        """The user's line that made a module, where it is known."""
        return self._made.get(module)

    def copied(self, source: nn.Module, copy: nn.Module) -> None:
        """A model was copied: its parts were made where those of the source were, and are no fresher."""
        for old, new in zip(source.modules(), copy.modules(), strict=False):
            if (site := self._made.get(old)) is not None:
                self._made[new] = site
        for one, other in zip(source.parameters(), copy.parameters(), strict=False):
            if self._session.step or id(one) in self.loaded:
                self.loaded.add(id(other))

    def _around_init(self, original: Any) -> Any:
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> None:
            original(module, *args, **kwargs)
            if self._session.is_recording:
                self._made[module] = self._session.locator.maker(sys._getframe(1), module)

        return call

    def parameter_key(self, parameter: Tensor, name: str = "", kind: str = "") -> int:
        """Its number; given when it is first seen."""
        facts = self._session.facts.parameters
        known = self._parameters.get(id(parameter))
        if known is None:
            key = len(self._parameters)
            self._parameters[id(parameter)] = (parameter, key)
            facts[key] = ParameterFacts(key, name, tuple(parameter.shape), parameter.requires_grad, kind)
            return key
        mine = facts[known[1]]
        if name and not mine.name:
            mine.name, mine.module_kind = name, kind
        return known[1]

    # ---------------------------------------------------------------- modes

    def names_by_mode(self, *, training: bool) -> list[str]:
        """Class names of the models in a mode; in evaluation only those that behave differently there."""
        return [
            type(one).__name__
            for one in self._models.values()
            if one.training == training and (training or any(is_mode_sensitive(part) for part in one.modules()))
        ]

    def note_mode_at_step(self, optimizer: Optimizer) -> None:
        """Cheap, at every step: the mode of each model that the optimiser trains, where it changed."""
        place = (id(optimizer), len(self._models))
        if place not in self._owned:
            mine = {id(one) for group in optimizer.param_groups for one in group["params"] if one.requires_grad}
            self._owned[place] = [
                (self._keys[number], module, [one for one in module.modules() if is_mode_sensitive(one, mine)])
                for number, module in self._models.items()
                if any(id(one) in mine for one in module.parameters())
            ]
        for key, module, sensitive in self._owned[place]:
            # A frozen norm in evaluation mode is meant; what counts is whether anything trained behaves as in training.
            training = module.training or not sensitive or any(one.training for one in sensitive)
            if training != self._last_training.get(key):
                self._last_training[key] = training
                self._session.facts.late_modes.append((self._session.step, key, training))

    def _around_train(self, original: Any) -> Any:
        def call(module: nn.Module, mode: bool = True) -> nn.Module:
            self._mode_depth += 1
            try:
                result: nn.Module = original(module, mode)
            finally:
                self._mode_depth -= 1
            if self._mode_depth == 0 and self._session.is_recording:  # not a module on its children
                self._note_mode(module, mode, sys._getframe(1))
            return result

        return call

    def _note_mode(self, module: nn.Module, mode: bool, frame: FrameType) -> None:
        session = self._session
        if not mode:
            session.evaluation_may_begin()
        if len(session.facts.modes) < 1000:
            key = self._keys.get(id(module), -1)
            site = session.locator.here(frame)
            session.facts.modes.append(ModeFacts(session.step, key, type(module).__name__, mode, site))


def is_mode_sensitive(module: nn.Module, trained: set[int] | None = None) -> bool:
    """Whether a module does something else in evaluation: drops values at a rate above 0, or has batch statistics.

    Args:
        module: it.
        trained: ids of trained parameters; a norm whose own weights are not among them does not count then.
    """
    if not isinstance(module, MODE_SENSITIVE):
        return False
    own = list(module.parameters(recurse=False))
    if trained is not None and own and not any(id(one) in trained for one in own):
        return False
    return float(getattr(module, "p", 1.0)) > 0 and getattr(module, "track_running_stats", True)


def _holds(outer: nn.Module, inner: nn.Module) -> bool:
    return outer is not inner and any(one is inner for one in outer.modules())
