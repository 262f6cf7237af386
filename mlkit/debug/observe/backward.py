"""Calls of backward: on which loss, where, and with which gradients already there; which model calls led to it.

Seam: `torch.autograd.backward` (which `Tensor.backward` calls) and `torch.autograd.grad`.
Not here: the experiments that start there (the session decides).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlkit.debug.facts import BackwardFacts, CallFacts
from mlkit.debug.observe.patches import Patches
from mlkit.debug.trace import Call, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session

LOSSES_LIMIT = 4000
NODES_LIMIT = 20_000


class BackwardWatch:
    """All backward passes of a program, their losses, and the model calls that wait for one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_inside = False
        self._count = 0
        self._stride = 1
        self.pending: list[tuple[Call, CallFacts]] = []
        """Calls with a graph of which it is not yet known whether they are trained on."""
        self.calls_per_backward = 0

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        patches.around(torch.autograd, "backward", self._around)
        patches.around(torch.autograd, "grad", self._around)

    def _around(self, original: Any) -> Any:
        def call(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            session = self._session
            if self._is_inside or not session.is_recording:
                return original(tensors, *args, **kwargs)
            self._is_inside = True
            if original.__name__ == "grad":
                session.rolls.asked_for(args[0] if args else kwargs.get("inputs"))
            try:
                self._before(tensors, sys._getframe(1), accumulates=original.__name__ == "backward")
                return original(tensors, *args, **kwargs)
            finally:
                self._is_inside = False
                for since in session.optimizers.since():
                    since.backwards += 1
                if session.is_recording:
                    session.rolls.after_backward()

        return call

    def _before(self, tensors: Any, frame: Any, *, accumulates: bool = True) -> None:
        session = self._session
        if session.trial is not None:
            with session.quietly():
                session.trial.before_backward(tensors, session.locator.here(frame))
            return
        every = tensors_in(tensors)
        site = session.locator.here(frame)
        if not every or not every[0].requires_grad:
            if every and every[0].numel() == 1:
                session.backward_refused(every[0], site)
            return
        by_hand = False
        with session.quietly():
            value = self._note_loss(every[0])
            self._resolve(every[0])
            by_hand = session.rolls.before_backward(every[0], site, accumulates=accumulates)
            if session.is_detailed:
                share = session.optimizers.share_of_gradients()
                stack = session.locator.stack(frame)
                session.facts.backwards.append(BackwardFacts(session.step, site, value, share, stack))
        if by_hand:
            session.updated_by_hand()
        if value is not None:
            session.backward_begins(every[0], site)

    def _note_loss(self, loss: Tensor) -> float | None:
        if loss.numel() != 1:
            return None
        self._count += 1
        if self._count % self._stride:
            return None
        session = self._session
        value = float(loss.detach())
        losses = session.facts.losses
        losses.append((session.step, value))
        if len(losses) >= LOSSES_LIMIT:  # keep every second one of the later part, so that the start stays whole
            losses[1000:] = losses[1000::2]
            self._stride *= 2
        for since in session.optimizers.since():
            since.loss = value
        return value

    def _resolve(self, loss: Tensor) -> None:
        """Mark the calls whose output this loss was computed from."""
        if not self.pending:
            return
        nodes: set[object] = set()
        todo: list[Any] = [loss.grad_fn]
        while todo and len(nodes) < NODES_LIMIT:
            node = todo.pop()
            if node is None or node in nodes:
                continue
            nodes.add(node)
            todo += [one for one, _ in node.next_functions]
        used, facts = 0, self._session.facts
        for call, note in self.pending:
            if any(one.grad_fn in nodes or one is loss for one in tensors_in(call.output)):
                note.led_to_backward = True
                used += 1
                if note.loader is not None:
                    facts.loaders[note.loader].role = "train"
        self.calls_per_backward = used or self.calls_per_backward
        self.pending = [(call, note) for call, note in self.pending if note.led_to_backward is None]

    def give_up_waiting(self) -> None:
        """No backward will come for the calls that wait: the step was taken, or the program ended."""
        for _, note in self.pending:
            note.led_to_backward = bool(note.led_to_backward)
        self.pending = []
        for note in self._session.facts.calls[-50:]:
            if note.led_to_backward is False and note.loader is not None:
                loader = self._session.facts.loaders[note.loader]
                loader.role = loader.role or "eval"
