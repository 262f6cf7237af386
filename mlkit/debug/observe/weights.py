"""State dictionaries: what a load changed, and whether what was kept as "best" is a copy.

Seams: `nn.Module.load_state_dict` and `nn.Module.state_dict`.
Not here: the verdict.
"""

from __future__ import annotations

import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mlkit.debug.facts import LoadFacts, SnapshotFacts
from mlkit.debug.observe.patches import Patches
from mlkit.debug.trace import tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session

SNAPSHOTS_LIMIT = 200


class WeightWatch:
    """Loads and snapshots that the user's code makes itself."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._snapshots: list[tuple[weakref.ref[Any], nn.Module, SnapshotFacts]] = []
        self._taken: list[tuple[list[weakref.ref[Tensor]], SnapshotFacts, nn.Module]] = []
        self._depth = 0

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        patches.around(nn.Module, "load_state_dict", self._around_load)
        patches.around(nn.Module, "state_dict", self._around_save)
        patches.around(torch, "save", self._around_file)

    def _around_load(self, original: Any) -> Any:
        def call(module: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            session = self._session
            if not session.is_recording or session.trial is not None:
                return original(module, state_dict, *args, **kwargs)
            site = session.locator.here(sys._getframe(1))
            with session.quietly():
                before = {name: tensor.detach().clone() for name, tensor in _own(module).items()}
                given = {name: value for name, value in dict(state_dict).items() if isinstance(value, Tensor)}
                shared = _shared(list(given.values()), module)
            result = original(module, state_dict, *args, **kwargs)
            with session.quietly():
                now = _own(module)
                session.facts.loads.append(
                    LoadFacts(
                        model=type(module).__name__,
                        site=site,
                        tensors=len(now),
                        given=len(given),
                        matched=len(set(given) & set(now)),
                        changed=sum(not torch.equal(now[name].detach(), old) for name, old in before.items()),
                        missing=list(getattr(result, "missing_keys", []))[:5],
                        unexpected=list(getattr(result, "unexpected_keys", []))[:5],
                        shares_storage=shared,
                        step=session.step,
                    )
                )
                self._note_origin(module, given)
            return result

        return call

    def _around_save(self, original: Any) -> Any:
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            try:
                result = original(module, *args, **kwargs)
            finally:
                self._depth -= 1
            session = self._session
            if self._depth == 0 and session.is_recording and session.trial is None:
                frame = sys._getframe(1)
                with session.quietly():
                    if len(self._snapshots) < SNAPSHOTS_LIMIT and next(module.parameters(), None) is not None:
                        facts = SnapshotFacts(
                            type(module).__name__, session.locator.here(frame), session.step, False, 0.0, session.step
                        )
                        self._snapshots.append((weakref.ref(result), module, facts))
                        some = [weakref.ref(one) for one in list(result.values())[:3] if isinstance(one, Tensor)]
                        self._taken.append((some, facts, module))
            return result

        return call

    def _around_file(self, original: Any) -> Any:
        def call(value: Any, *args: Any, **kwargs: Any) -> Any:
            session = self._session
            if session.is_recording and session.trial is None:
                site = session.locator.here(sys._getframe(1))
                with session.quietly():
                    taken = self._alias(tensors_in(value))
                    if taken is not None:
                        session.facts.aliased_saves.append((taken[0].site, site, taken[0].step, session.step))
            return original(value, *args, **kwargs)

        return call

    def _alias(self, tensors: list[Tensor]) -> tuple[SnapshotFacts, nn.Module] | None:
        """The snapshot of an earlier step that these are, if they still are the memory of weights trained since."""
        ids = {id(one) for one in tensors}
        for mine, facts, owner in reversed(self._taken):
            is_older = facts.step < self._session.step
            if is_older and any(one() is not None and id(one()) in ids for one in mine):
                return (facts, owner) if _shared(tensors, owner) > 0.5 * len(tensors) else None
        return None

    def _note_origin(self, module: nn.Module, given: dict[str, Tensor]) -> None:
        """Whether the state that was loaded is a snapshot without a copy, or has other names for the tensors."""
        session, load = self._session, self._session.facts.loads[-1]
        for parameter in module.parameters():
            if load.changed:
                session.modules.loaded.add(id(parameter))
        taken = self._alias(list(given.values()))
        if taken is not None:
            load.aliased_since, load.aliased_site, load.is_own_alias = taken[0].step, taken[0].site, taken[1] is module
        load.prefix, load.renamed = _renaming({name: one.shape for name, one in given.items()}, _own(module))

    def look_again(self) -> None:
        """At the end: which snapshots are still kept, and whether their tensors are the live weights' own memory."""
        for reference, module, facts in self._snapshots:
            state = reference()
            if state is None:
                continue
            facts.later_step = self._session.step
            tensors = [one for one in state.values() if isinstance(one, Tensor) and one.numel()]
            facts.is_kept = len(gc.get_referrers(state)) > 1
            facts.shares_storage = _shared(tensors, module) / len(tensors) if tensors else 0.0
            self._session.facts.snapshots.append(facts)
        self._snapshots = []


def _renaming(given: dict[str, torch.Size], own: dict[str, Tensor]) -> tuple[str, int]:
    """The prefix that, added to or taken from given names, makes most of them agree with tensors of the same shape."""
    counts: dict[str, int] = {}
    ends: dict[str, list[str]] = {}
    for name in own:
        parts = name.split(".")
        for cut in range(1, min(4, len(parts))):
            ends.setdefault(".".join(parts[cut:]), []).append(name)
    for name, shape in given.items():
        if name in own:
            continue
        parts = name.split(".")
        for cut in range(1, min(4, len(parts))):
            if (short := ".".join(parts[cut:])) in own and own[short].shape == shape:
                prefix = "-" + ".".join(parts[:cut]) + "."
                counts[prefix] = counts.get(prefix, 0) + 1
        for mine in ends.get(name, ()):
            if own[mine].shape == shape:
                prefix = "+" + mine.removesuffix(name)
                counts[prefix] = counts.get(prefix, 0) + 1
    best = max(counts, key=counts.__getitem__, default="")
    return best, counts.get(best, 0)


def _own(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _shared(tensors: list[Tensor], module: nn.Module) -> int:
    live = {tensor.untyped_storage().data_ptr() for tensor in _own(module).values()}
    return sum(tensor.untyped_storage().data_ptr() in live for tensor in tensors if tensor.numel())
