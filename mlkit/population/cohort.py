"""`Cohort`: members of a bucket in training: drives their back end, frees the place of those that are over, and finds
another way when memory runs out.

Not here: who goes on after a rung (`mlkit.population.rungs`) and snapshots on disk (`mlkit.population.snapshots`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mlkit.population.backend import Backend, BackendName
from mlkit.population.course import Course
from mlkit.population.lockstep import Lockstep, is_out_of_memory
from mlkit.population.loop import Loop, reason_of
from mlkit.population.processes import Processes
from mlkit.population.record import Record
from mlkit.population.run import Run


@dataclass(frozen=True)
class Choice:
    """Which back end, and why.

    Args:
        backend: its name.
        reason: in one line.
        seconds: of one step of all members, as measured, by back end; empty where nothing was measured.
        workers: of ``processes``; None: one a core.
        kernels: of ``stacked``: layers that are not computed in the default way, by name.
        is_wish: whether it was asked for: then an error is raised, where else the loop would take over.
    """

    backend: BackendName
    reason: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    workers: int | None = None
    kernels: Mapping[str, str] = field(default_factory=dict)
    is_wish: bool = False


@dataclass(frozen=True)
class Setback:
    """Why a cohort could not go on as it was.

    Args:
        is_memory: there was no room.
        reason: in one line.
    """

    is_memory: bool
    reason: str


class Cohort:
    """Members in training by one back end.

    Args:
        runs: the members.
        course: what all share.
        choice: how they are trained.
    """

    def __init__(self, runs: Sequence[Run], course: Course, choice: Choice) -> None:
        self.all, self.course, self.choice = list(runs), course, choice
        self.active = [run for run in runs if run.is_active]
        self.backend: Backend | None = None
        self._kept: list[tuple[Record, Mapping[str, Any] | None]] = []
        """Of each active member, where a stack can go on from when there turns out to be no room."""
        self._restored: list[Mapping[str, Any]] = []

    def advance(self, epoch: int, told: Callable[[], None]) -> Setback | None:
        """Train all active members to ``epoch``; or say what was in the way, having let go of the back end."""
        try:
            self._advance(epoch, told)
        except Exception as error:
            if self.choice.backend in ("loop", "processes"):
                raise
            setback = Setback(is_out_of_memory(error), reason_of(error))
            if self.choice.is_wish and not setback.is_memory:
                raise
            error.__traceback__ = None  # its frames hold tensors, and room is needed
        else:
            return None
        self.backend = None
        return setback

    def _advance(self, epoch: int, told: Callable[[], None]) -> None:
        if not self.active or self.epoch >= epoch:
            return
        backend = self.started()
        if backend.name in ("stacked", "vmap"):
            self._kept = [(run.record.copy(), _copied(backend.export(place))) for place, run in enumerate(self.active)]
        while self.active and self.epoch < epoch:
            backend.advance(self.epoch + 1 if backend.by_epoch else epoch, told=told)
            self.release()

    @property
    def epoch(self) -> int:
        """Epochs that every active member has completed."""
        return min((run.record.epoch for run in self.active), default=0)

    def started(self) -> Backend:
        """The back end, made when first needed."""
        if self.backend is None:
            self._kept = [
                (run.record.copy(), self._restored[place] if self._restored else None)
                for place, run in enumerate(self.active)
            ]
            backend = make_backend(self.choice, self.active, self.course)
            if self._restored:
                backend.restore(self._restored)
            self.backend, self._restored = backend, []
        return self.backend

    def exports(self) -> Sequence[Mapping[str, Any]]:
        """What each active member goes on from; empty: from the start."""
        if self.backend is None:
            return self._restored
        return [self.backend.export(place) for place in range(len(self.active))]

    def release(self) -> None:
        """Hand over the weights of members that are over, and give back their place."""
        going = [place for place, run in enumerate(self.active) if run.is_active]
        if len(going) == len(self.active):
            return
        backend = self.started()
        for place, run in enumerate(self.active):
            if not run.is_active and run.record.status != "failed":
                backend.deliver(place)
        backend.select(going)
        self.active = [self.active[place] for place in going]
        self._kept = [self._kept[place] for place in going]

    def finish(self) -> None:
        """Judge the members that completed, on all splits, and hand over their weights."""
        if not self.active:
            return
        backend = self.started()
        backend.finish()
        for run in self.active:
            if run.is_active:
                run.record.end("completed")
        self.release()

    def to_dict(self) -> dict[str, Any]:
        """Who was trained by what, and why."""
        return {
            "members": [run.index for run in self.all],
            "backend": self.choice.backend,
            "reason": self.choice.reason,
            "seconds": dict(self.choice.seconds),
        }

    def resume(self, exports: Sequence[Mapping[str, Any]]) -> None:
        """Go on from what the back end's `export` gave for each active member."""
        self._restored = list(exports)

    def parts_after(self, setback: Setback) -> list[Cohort]:
        """How to go on: as two halves one after the other where there was no room, else one by one, from the start.

        A single member for which there is no room has failed.
        """
        if not setback.is_memory:
            for run in self.active:
                run.record = Record()
            why = f"{self.choice.backend} gave up: {setback.reason}"
            return [self, Cohort(self._taken(self.active), self.course, Choice("loop", why))]
        if len(self.active) == 1:
            self.active[0].record.end("failed", setback.reason)
            self.active = []
            return [self]
        for run, (record, _) in zip(self.active, self._kept, strict=True):
            run.record = record
        middle = -(-len(self.active) // 2)
        parts = []
        for part in (slice(0, middle), slice(middle, None)):
            why = f"{self.choice.reason}; halved, as memory ran out"
            cohort = Cohort(self.active[part], self.course, replace(self.choice, reason=why))
            cohort._restored = [export for _, export in self._kept[part] if export is not None]
            parts.append(cohort)
        self._taken(self.active)
        return [self, *parts]

    def _taken(self, runs: Sequence[Run]) -> list[Run]:
        """These members belong to another cohort from now on."""
        taken = list(runs)
        self.all = [run for run in self.all if run not in taken]
        self.active, self._kept = [], []
        return taken


def make_backend(choice: Choice, runs: Sequence[Run], course: Course) -> Backend:
    """The back end of a choice.

    Raises:
        CannotStackError: the members cannot be trained by it.
    """
    if choice.backend == "loop":
        return Loop(runs, course)
    if choice.backend == "processes":
        return Processes(runs, course, workers=choice.workers)
    lockstep = Lockstep(runs, course, choice.backend)
    lockstep.set_kernels(choice.kernels)
    return lockstep


def _copied(value: Any) -> Any:
    """Tensors copied, containers made anew."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
