"""The roll call before each step: which parameters have a gradient, which are frozen, which are stale, who is missing.

Here too: updates by hand, without an optimiser. Not here: seams (`optimizers`, `backward` call this), and the verdict.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim import Optimizer

from mlkit.debug.facts import RollFacts
from mlkit.debug.graph import leaves_of
from mlkit.debug.sites import Site
from mlkit.debug.trace import tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session

ROLLS_LIMIT = 200
BY_HAND = -1
"""The optimiser's key in the roll of a program that updates weights without an optimiser."""
ROLLS_AFTER_THAW = 4
CLEARING = ("zero_", "fill_", "grad.__set__", "_foreach_zero_", "mul_")
Print = tuple[float, float]


@dataclass(eq=False)
class _Since:
    """What happened to one optimiser's parameters since its last step."""

    step: int = 0
    dirty: dict[int, tuple[Tensor, weakref.ref[Tensor], float]] = field(default_factory=dict)
    """id -> parameter, its gradient's tensor, and norm at the last step: what nothing has cleared yet."""
    sites: list[tuple[Site | None, int, int]] = field(default_factory=list)
    """Backward passes: line, index of the next op, and steps taken."""
    clears: list[tuple[Site | None, int, int]] = field(default_factory=list)
    """Clears: line, how many backward passes before, index of the next op."""
    had: list[int] = field(default_factory=list)
    """How many parameters had a gradient after each backward pass."""
    reached: set[int] = field(default_factory=set)
    """Ids of all leaves, of whatever model, that a backward pass reached."""


class RollWatch:
    """Roll calls of a program, also when something was frozen or thawed later."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._since: dict[int, _Since] = {}
        self._prints: dict[int, tuple[Tensor, Print]] = {}
        self._frozen_before: dict[int, Print] = {}
        self._by_hand: dict[int, tuple[Tensor, Print, weakref.ref[Tensor] | None, float]] = {}
        self._leaves: dict[int, tuple[Tensor, Print, int]] = {}
        self._versions: dict[int, int] = {}
        self._left = 0
        self._flags: tuple[int, int] = (0, 0)

    @property
    def is_on(self) -> bool:
        session = self._session
        return session.trial is None and (session.is_detailed or self._left > 0)

    # ---------------------------------------------------------------- backward and clearing

    def before_backward(self, loss: Tensor, site: Site | None, *, accumulates: bool) -> bool:
        """A backward pass is about to add to gradients; returns whether weights were updated by hand before it."""
        if not self.is_on:
            return False
        self.know_held()
        self._session.structure.look_at_parameters()
        self._look_at_leaves(loss)
        for optimizer in self._session.optimizers.live():
            since = self._since.setdefault(id(optimizer), _Since())
            self._sift(since, is_first=not since.sites)
            if since.had[-1:] and since.had[-1] and not _with_gradient(_parameters(optimizer)):
                self._note_silent_clear(since)
            since.sites.append((site if accumulates else None, len(self._session.trace.ops), self._session.step))
        if not self._session.optimizers.live() and not self._session.facts.optimizers:
            return self._updated_by_hand(loss, site)
        return False

    def know_held(self) -> None:
        """Give every parameter that an optimiser holds its number, also before that optimiser's first step."""
        session = self._session
        for optimizer in session.optimizers.live():
            facts = session.facts.optimizers[session.optimizers.key(optimizer)]
            facts.holds |= {session.modules.parameter_key(one) for one in _parameters(optimizer)}

    def optimizer_made(self, optimizer: Optimizer, key: int) -> None:
        """Do its weights go on from where an earlier optimiser left them?"""
        versions = [(self._versions.get(id(one)), one._version) for one in _parameters(optimizer)]
        self._session.facts.optimizers[key].goes_on = bool(versions) and all(old == now for old, now in versions)

    def asked_for(self, inputs: object) -> None:
        """The program asks for the gradient of these tensors itself."""
        self._session.facts.moved_leaves |= {id(one) for one in tensors_in(inputs)}

    def _look_at_leaves(self, loss: Tensor) -> None:
        session = self._session
        held = {id(one) for optimizer in session.optimizers.live() for one in _parameters(optimizer)}
        known = {id(one) for one, _ in session.modules.parameters()} | held
        leaves = leaves_of(loss)
        for optimizer in session.optimizers.live():
            self._since.setdefault(id(optimizer), _Since()).reached |= {id(leaf) for leaf in leaves}
        for leaf in leaves:
            if id(leaf) in known:
                continue
            if id(leaf) in self._leaves:
                _, mark, step = self._leaves[id(leaf)]
                if step != session.step:
                    session.facts.lasting_leaves.add(id(leaf))
                if _print(leaf) != mark:
                    session.facts.moved_leaves.add(id(leaf))
            elif len(self._leaves) < 300:
                self._leaves[id(leaf)] = (leaf, _print(leaf), session.step)

    def after_backward(self) -> None:
        """It returned: how many of each optimiser's parameters have a gradient now."""
        if not self.is_on:
            return
        with self._session.quietly():
            for optimizer in self._session.optimizers.live():
                since = self._since.get(id(optimizer))
                if since is not None and since.sites:
                    since.had.append(len(_with_gradient(_parameters(optimizer))))
            for number, (tensor, mark, _, _) in list(self._by_hand.items()):
                gradient = tensor.grad
                if gradient is not None and not gradient.is_sparse:
                    self._by_hand[number] = (tensor, mark, weakref.ref(gradient), float(gradient.norm()))

    def cleared(self, optimizer: Optimizer, site: Site | None) -> None:
        """``zero_grad`` was called on it, or on a module with parameters of it."""
        if self.is_on:
            since = self._since.setdefault(id(optimizer), _Since())
            since.clears.append((site, len(since.sites), len(self._session.trace.ops)))

    def _sift(self, since: _Since, *, is_first: bool) -> None:
        # A gradient is old while it is the same tensor, not zero, and (before anything is added) of the same norm.
        for number, (tensor, reference, norm) in list(since.dirty.items()):
            gradient = tensor.grad
            if gradient is None or gradient is not reference():
                del since.dirty[number]
                continue
            now = float(gradient.norm())
            if now == 0 or (is_first and not math.isclose(now, norm, rel_tol=1e-5)):
                del since.dirty[number]

    def _note_silent_clear(self, since: _Since) -> None:
        # The gradients are gone, and nobody called zero_grad: cleared by hand.
        if not since.clears or since.clears[-1][1] < len(since.sites):
            since.clears.append((self._clearing_line(), len(since.sites), since.sites[-1][1]))

    def _clearing_line(self) -> Site | None:
        for op in reversed(self._session.trace.ops):
            if op.name in CLEARING:
                return op.site
        return None

    # ---------------------------------------------------------------- steps

    def before_step(self, optimizer: Optimizer, key: int, frame: FrameType) -> None:
        """An optimiser is about to step: call the roll."""
        session = self._session
        mine = session.facts.optimizers[key]
        parameters = _parameters(optimizer)
        keys = [session.modules.parameter_key(one) for one in parameters]
        mine.holds |= set(keys)
        if len(keys) > len(mine.parameters):  # groups were added since
            mine.parameters = list(dict.fromkeys([*mine.parameters, *keys]))
        self._look_at_flags()
        self._frozen_before = {}
        if not self.is_on or len(session.facts.rolls) >= ROLLS_LIMIT:
            return
        since = self._since.get(id(optimizer), _Since())
        self._sift(since, is_first=not since.sites)
        ids = {id(one): number for one, number in zip(parameters, keys, strict=True)}
        others = [
            (one, n) for one, n in session.modules.parameters() if id(one) not in ids and id(one) in since.reached
        ]
        present = {id(one) for one in _with_gradient([one for one, _ in others])}
        roll = RollFacts(
            step=session.step,
            optimizer=key,
            site=session.locator.here(frame),
            backward=next((site for site, _, _ in reversed(since.sites) if site is not None), None),
            held=[n for one, n in zip(parameters, keys, strict=True) if one.requires_grad],
            frozen=[n for one, n in zip(parameters, keys, strict=True) if not one.requires_grad],
            strangers=[n for one, n in others if id(one) in present],
            backwards=len(since.sites),
        )
        if since.sites:
            roll.without = [
                n for one, n in zip(parameters, keys, strict=True) if one.requires_grad and one.grad is None
            ]
            roll.stale = [ids[number] for number in since.dirty if number in ids]
            self._note_clears(roll, since, parameters)
        session.facts.rolls.append(roll)
        known = {n: one for one, n in session.modules.parameters()}
        self._look_at_prints({n: known[n] for n in (*roll.without, *roll.strangers, *roll.frozen)})
        self._frozen_before = {n: _print(known[n]) for n in roll.frozen[:200]}

    def _note_clears(self, roll: RollFacts, since: _Since, parameters: list[Tensor]) -> None:
        had = since.had[-1] if since.had else 0
        now = len(_with_gradient(parameters))
        if had and now < had:
            roll.lost = had - now
            after = [site for site, count, _ in since.clears if count == len(since.sites)]
            roll.lost_at = after[-1] if after else self._clearing_line()
        last, _, step = since.sites[-1]
        ops = self._session.trace.ops
        for site, count, stop in since.clears:
            if not 0 < count < len(since.sites) or last is None or not ops:
                continue
            before, start, then = since.sites[count - 1]
            if before != last or then != step or not since.had[count - 1 : count] or not since.had[count - 1]:
                continue  # another loss, or another optimiser's turn: its gradients were to be thrown away
            clips = {at for one in self._session.optimizers.since() for at, *_ in one.clips}
            between = [op for op in ops[start:stop] if op.site != site and op.site not in clips]
            read = any(op.name == "grad" for op in between)
            held = {id(one) for one in parameters}
            written = any(op.is_in_place and any(id(one) in held for one in op.outputs[:1]) for op in ops[start:])
            if not read and not written:
                roll.thrown.append(site)

    def after_step(self, optimizer: Optimizer) -> None:
        """It stepped."""
        session = self._session
        self._versions |= {id(one): one._version for one in _parameters(optimizer)}
        if not self.is_on:
            self._since.pop(id(optimizer), None)
            return
        with session.quietly():
            if self._frozen_before and session.facts.rolls:
                known = {n: one for one, n in session.modules.parameters()}
                moved = [n for n, mark in self._frozen_before.items() if _print(known[n]) != mark]
                session.facts.rolls[-1].frozen_moved = moved
            since = self._since[id(optimizer)] = _Since(step=session.step)
            held = [one for one in _parameters(optimizer) if one.grad is not None and not one.grad.is_sparse]
            norms = torch._foreach_norm([one.grad for one in held]) if held else ()  # type: ignore[misc]
            for one, norm in zip(held, norms, strict=True):
                if norm != 0 and one.grad is not None:
                    since.dirty[id(one)] = (one, weakref.ref(one.grad), float(norm))
            self._left = max(0, self._left - 1)

    def _look_at_flags(self) -> None:
        # Freezing or thawing in the middle of training begins something new; looked at now and then, as no one tells.
        session = self._session
        every = [one for one, _ in session.modules.parameters()]
        flags = (len(every), sum(one.requires_grad for one in every))
        if self._flags[0] == flags[0] and self._flags != flags and not session.is_detailed:
            self._left = max(self._left, ROLLS_AFTER_THAW)
        self._flags = flags

    def _look_at_prints(self, tensors: dict[int, Tensor]) -> None:
        for key, tensor in tensors.items():
            mark = _print(tensor)
            if key not in self._prints:
                self._prints[key] = (tensor, mark)
            elif self._prints[key][1] != mark:
                self._session.facts.moved.add(key)

    def look_again(self) -> None:
        """At the end: what no optimiser held or reached, and has changed nevertheless."""
        for number, (leaf, mark, _) in self._leaves.items():
            if _print(leaf) != mark:
                self._session.facts.moved_leaves.add(number)
        self._look_at_prints({key: tensor for key, (tensor, _) in self._prints.items()})

    # ---------------------------------------------------------------- without an optimiser

    def _updated_by_hand(self, loss: Tensor, site: Site | None) -> bool:
        leaves = {id(one): one for one in leaves_of(loss)[:2000]}
        before, self._by_hand = self._by_hand, {}
        same = {number: entry for number, entry in before.items() if number in leaves and leaves[number] is entry[0]}
        moved = [number for number, (tensor, mark, _, _) in same.items() if _print(tensor) != mark]
        renewed = bool(before) and not same and len(leaves) == len(before)
        for number, tensor in leaves.items():
            self._by_hand[number] = (tensor, _print(tensor), None, 0.0)
        if same and not moved:
            self._look_for_lost_updates(leaves)
        if not moved and not renewed:
            return False
        stale = [
            number
            for number in moved
            if (gradient := same[number][0].grad) is not None
            and not gradient.is_sparse
            and same[number][2] is not None
            and same[number][2]() is gradient  # type: ignore[misc]
            and same[number][3] > 0
            and math.isclose(float(gradient.norm()), same[number][3], rel_tol=1e-5)
        ]
        roll = RollFacts(self._session.step, BY_HAND, site, backward=site, held=moved, stale=stale, backwards=1)
        self._session.facts.rolls.append(roll)
        return True

    def _look_for_lost_updates(self, leaves: dict[int, Tensor]) -> None:
        # `w = w - lr * w.grad` makes a new tensor and forgets the leaf that the next loss is computed from.
        from_gradient: set[int] = set()
        for op in self._session.trace.ops:
            if op.name == "grad":
                from_gradient |= {id(one) for one in op.outputs}
            elif any(id(one) in from_gradient for one in op.inputs) and not op.is_in_place:
                weights = [one for one in op.inputs if id(one) in leaves]
                is_update = bool(weights) and op.name in ("sub", "__sub__", "add", "__add__")
                if is_update and op.outputs and op.outputs[0].shape == weights[0].shape:
                    self._session.facts.lost_updates = op.site
                from_gradient |= {id(one) for one in op.outputs}


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [one for group in optimizer.param_groups for one in group["params"]]


def _with_gradient(tensors: list[Tensor]) -> list[Tensor]:
    """Those that have a gradient which is not all zeros."""
    held = [one for one in tensors if one.requires_grad and one.grad is not None]
    dense = [one for one in held if not one.grad.is_sparse]  # type: ignore[union-attr]
    norms = torch._foreach_norm([one.grad for one in dense]) if dense else ()  # type: ignore[misc]
    found = [one for one, norm in zip(dense, norms, strict=True) if norm != 0]
    return found + [one for one in held if one.grad.is_sparse]  # type: ignore[union-attr]


def _print(tensor: Tensor) -> Print:
    values = tensor.detach()
    if values.is_complex():
        values = torch.view_as_real(values)
    return float(values.double().norm()), float(values.double().sum())
