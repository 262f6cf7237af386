"""Optimisers: where they are made, what they hold, when they step, when gradients are cleared or clipped.

Seams: torch's global hooks around ``step``, `Optimizer.__init__`, `zero_grad`, and the clipping functions.
Not here: what a step should have done.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import optimizer as seams

from mlkit.debug.facts import OptimizerFacts, StepFacts
from mlkit.debug.observe.patches import Patches
from mlkit.debug.sites import Site

if TYPE_CHECKING:
    from mlkit.debug.session import Session


class SinceStep:
    """What happened to an optimiser's parameters since its last step."""

    def __init__(self) -> None:
        self.backwards = 0
        self.forwards = 0
        self.cleared = False
        self.clears: list[tuple[Site | None, int]] = []
        self.clips: list[tuple[Site | None, float, float, int]] = []
        self.loss: float | None = None


class OptimizerWatch:
    """All optimisers of a program, and what happened between their steps."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[int, tuple[weakref.ref[Optimizer], int]] = {}
        self._since: dict[int, SinceStep] = {}
        self._previous: dict[int, Tensor] = {}
        self._handles: list[Any] = []

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        patches.around(Optimizer, "__init__", self._around_init)
        patches.around(Optimizer, "zero_grad", self._around_clear)
        patches.around(nn.Module, "zero_grad", self._around_clear)
        for owner in (nn.utils, nn.utils.clip_grad):
            for name in ("clip_grad_norm_", "clip_grad_value_"):
                patches.around(owner, name, self._around_clip)
        self._handles = [
            seams.register_optimizer_step_pre_hook(self._before),
            seams.register_optimizer_step_post_hook(self._after),
        ]

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def live(self) -> list[Optimizer]:
        """Optimisers that still live."""
        every = (reference() for reference, _ in self._known.values())
        return [one for one in every if one is not None]

    def since(self) -> list[SinceStep]:
        """What happened since the last step of each."""
        return list(self._since.values())

    def key(self, optimizer: Optimizer, site: Site | None = None) -> int:
        """Its number; given when it is first seen."""
        known = self._known.get(id(optimizer))
        if known is not None and known[0]() is optimizer:
            return known[1]
        facts = self._session.facts
        key = len(facts.optimizers)
        self._known[id(optimizer)] = (weakref.ref(optimizer), key)
        facts.optimizers[key] = OptimizerFacts(key, type(optimizer).__name__, site, facts.total_steps)
        self._since[id(optimizer)] = SinceStep()
        return key

    def share_of_gradients(self) -> float:
        """Share of the trainable parameters of all optimisers whose gradient is there and not zero."""
        there = total = 0
        for optimizer in self.live():
            held = [one for one in _parameters(optimizer) if one.requires_grad]
            gradients = [one.grad for one in held if one.grad is not None]
            norms = torch._foreach_norm(gradients) if gradients else ()
            present = sum(bool(norm != 0) for norm in norms)
            if held and present == 0:
                self._since.setdefault(id(optimizer), SinceStep()).cleared = True
            there, total = there + present, total + len(held)
        return there / total if total else 0.0

    # ---------------------------------------------------------------- steps

    def _before(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        session = self._session
        if not session.is_recording:
            return None
        frame = sys._getframe(1)
        closure = kwargs.get("closure") or next((one for one in args if callable(one) and one is not optimizer), None)
        if closure is None:
            self._about_to_step(optimizer, frame)
            return None
        first = True

        # The gradients are made within the step: look at them when the closure has run, before the weights change.
        def looked(*inner: Any, **named: Any) -> Any:
            nonlocal first
            result = closure(*inner, **named)
            if first and session.is_recording:
                first = False
                self._about_to_step(optimizer, frame)
            return result

        if "closure" in kwargs:
            return args, {**kwargs, "closure": looked}
        return tuple(looked if one is closure else one for one in args), kwargs

    def _about_to_step(self, optimizer: Optimizer, frame: FrameType) -> None:
        session = self._session
        if session.trial is not None:
            session.trial.before_step(optimizer)
            return
        session.modules.note_mode_at_step(optimizer)
        if not session.is_detailed and session.step % 16 and not session.rolls.is_on and not self._is_new(optimizer):
            return
        with session.quietly():
            self._note_step(optimizer, frame)

    def _is_new(self, optimizer: Optimizer) -> bool:
        facts = self._session.facts.optimizers
        return len(facts) < 64 and not facts[self.key(optimizer)].parameters

    def _note_step(self, optimizer: Optimizer, frame: FrameType) -> None:
        session, facts = self._session, self._session.facts
        mine = facts.optimizers[self.key(optimizer)]
        parameters = _parameters(optimizer)
        keys = [session.modules.parameter_key(one) for one in parameters]
        if not mine.parameters:
            self._note_contents(mine, optimizer, keys)
        session.structure.look_at_parameters()
        session.rolls.before_step(optimizer, mine.key, frame)
        if not session.is_detailed:
            return
        since = self._since.setdefault(id(optimizer), SinceStep())
        gradients = self._gradients(parameters, keys)
        facts.steps.append(
            StepFacts(
                step=session.step,
                optimizer=mine.key,
                site=session.locator.here(frame),
                learning_rates=[float(group["lr"]) for group in optimizer.param_groups if "lr" in group],
                backwards=since.backwards,
                forwards=since.forwards,
                cleared=since.cleared,
                cleared_sites=[(at, "after" if count == since.backwards else "before") for at, count in since.clears],
                cleared_after=[count for _, count in since.clears],
                clipped=[(at, limit, norm, count == since.backwards) for at, limit, norm, count in since.clips],
                gradients=gradients,
                weights={n: float(one.detach().norm()) for one, n in zip(parameters, keys, strict=True)},
                training=session.modules.names_by_mode(training=True),
                evaluating=session.modules.names_by_mode(training=False),
                non_finite=[n for n, norm in gradients.items() if norm is not None and not math.isfinite(norm)],
                loss=since.loss,
            )
        )
        take = len(facts.steps) <= 4 or len(facts.steps) % 5 == 0
        self._previous = {n: one.detach().clone() for one, n in zip(parameters, keys, strict=True)} if take else {}

    def _note_contents(self, mine: OptimizerFacts, optimizer: Optimizer, keys: list[int]) -> None:
        mine.parameters = keys
        mine.groups = [
            {name: value for name, value in group.items() if isinstance(value, (int, float, str, bool, tuple))}
            for group in optimizer.param_groups
        ]
        held = set(keys)
        for other in self._session.facts.optimizers.values():
            if other is not mine and other.steps and len(held & set(other.parameters)) > 0.5 * len(held):
                mine.same_parameters_as = other.key

    def _gradients(self, parameters: list[Tensor], keys: list[int]) -> dict[int, float | None]:
        """Norms of the gradients of these parameters, and of any other known one that has a gradient."""
        norms: dict[int, float | None] = dict.fromkeys(keys)
        others = [(one, n) for one, n in self._session.modules.parameters() if n not in norms and one.requires_grad]
        every = [*zip(parameters, keys, strict=True), *others]
        held = [(one.grad, n) for one, n in every if one.grad is not None]
        dense = [(gradient, n) for gradient, n in held if not gradient.is_sparse]
        if dense:
            found = torch._foreach_norm([gradient for gradient, _ in dense])
            norms |= {n: float(norm) for (_, n), norm in zip(dense, found, strict=True)}
        norms |= {n: float(gradient.to_dense().norm()) for gradient, n in held if gradient.is_sparse}
        return norms

    def _after(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        session = self._session
        if not session.is_recording:
            return
        if session.trial is not None:
            session.trial.after_step(optimizer)
            return
        mine = session.facts.optimizers[self.key(optimizer)]
        mine.steps += 1
        mine.last_step = session.step
        session.rolls.after_step(optimizer)
        if session.is_detailed and self._previous and session.facts.steps:
            with session.quietly():
                session.facts.steps[-1].updates = {
                    n: float((one.detach() - self._previous[n]).norm())
                    for one, n in session.modules.parameters()
                    if n in self._previous
                }
                self._previous = {}
        self._since[id(optimizer)] = SinceStep()
        session.step_taken()

    # ---------------------------------------------------------------- construction, clearing, clipping

    def _around_init(self, original: Any) -> Any:
        def call(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimizer, *args, **kwargs)
            session = self._session
            if session.is_recording:
                frame = sys._getframe(1)
                with session.quietly():
                    key = self.key(optimizer, session.locator.here(frame))
                    session.facts.optimizers[key].stack = session.locator.stack(frame)
                    session.rolls.optimizer_made(optimizer, key)
                session.phase_may_begin()

        return call

    def _around_clear(self, original: Any) -> Any:
        def call(owner: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(owner, *args, **kwargs)
            session = self._session
            if session.is_recording and session.trial is None:
                frame = sys._getframe(1)
                for optimizer in self._of(owner):
                    since = self._since.setdefault(id(optimizer), SinceStep())
                    since.cleared = True
                    session.rolls.cleared(optimizer, session.locator.here(frame))
                    if session.is_detailed:
                        since.clears.append((session.locator.here(frame), since.backwards))
            return result

        return call

    def _of(self, owner: object) -> Iterator[Optimizer]:
        """Optimisers that an object is, or that hold parameters of it."""
        mine = {id(one) for one in owner.parameters()} if isinstance(owner, nn.Module) else None
        for optimizer in self.live():
            if optimizer is owner or (mine is not None and any(id(one) in mine for one in _parameters(optimizer))):
                yield optimizer

    def _around_clip(self, original: Any) -> Any:
        def call(parameters: Any, *args: Any, **kwargs: Any) -> Any:
            session = self._session
            if isinstance(parameters, Tensor):
                parameters = [parameters]
            elif not isinstance(parameters, (list, tuple)):
                parameters = list(parameters)  # a generator would be spent by looking at it
            looked_at = session.is_recording and session.is_detailed and session.trial is None
            norm = self._norm(parameters) if looked_at else 0.0
            result = original(parameters, *args, **kwargs)
            if looked_at:
                limit = args[0] if args else kwargs.get("max_norm", kwargs.get("clip_value", float("nan")))
                site, ids = session.locator.here(sys._getframe(1)), {id(one) for one in parameters}
                for optimizer in self.live():
                    if any(id(one) in ids for one in _parameters(optimizer)):
                        since = self._since.setdefault(id(optimizer), SinceStep())
                        since.clips.append((site, float(limit), norm, since.backwards))
            return result

        return call

    def _norm(self, parameters: list[Tensor]) -> float:
        with self._session.quietly():
            gradients = [one.grad for one in parameters if one.grad is not None]
            if gradients:
                return float(torch.stack(list(torch._foreach_norm(gradients))).norm())
        return 0.0


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [one for group in optimizer.param_groups for one in group["params"]]
