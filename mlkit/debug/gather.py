"""The batches that a program trains and evaluates on, whatever makes them: a copy goes on for a while, and we look.

Generators, NumPy arrays, iterables and hand-written loaders all end as tensors that meet a model and a loss. What was
gathered is measured by the same functions as a data set that can be read.
Not here: those functions (`mlkit.debug.probes.data_*`), and when a copy is asked to go on (`mlkit.debug.confirm`).
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlkit.debug import arrays_watched
from mlkit.debug.examples import Examples, climb, fingerprint
from mlkit.debug.layers import WEIGHING
from mlkit.debug.probes import Measurement
from mlkit.debug.probes.metric import looked_at
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.stored import Stored
from mlkit.debug.trace import Call, Trace, tensors_in
from mlkit.debug.variables import alias, frames, loop_around

if TYPE_CHECKING:
    from mlkit.debug.session import Session

MOST_VALUES = 20_000_000
MOST_BATCHES = 2000
WHOLE = 2
"""The step after whose backward the ops are kept until the next one."""
AGAIN, NEW = 0.95, 0.7
"""Share of known items in the batches that begin a second pass; and the most in those before it, with duplicates."""


@dataclass(eq=False)
class Batch:
    """One batch as the model got it: inputs and target, each with the samples first."""

    inputs: list[Tensor]
    label: Tensor | None
    size: int
    keys: list[bytes] = field(default_factory=list)


class Gathered(Examples):
    """Examples that were met in batches, each of them once."""

    def __init__(self, batches: list[Batch], *, site: Site | None) -> None:
        super().__init__(site=site)
        self._places: list[tuple[Batch, int]] = []
        known: set[bytes] = set()
        for batch in batches:
            for row, key in enumerate(batch.keys or [b""] * batch.size):
                if not key or key not in known:
                    known.add(key)
                    self._places.append((batch, row))
        shapes = {tuple(one.shape[1:] for one in batch.inputs) for batch in batches}
        if len(shapes) == 1 and all(batch.inputs for batch in batches):  # then tensors do, as for a table in memory
            self.inputs = [
                torch.stack([batch.inputs[place][row] for batch, row in self._places])
                for place in range(len(batches[0].inputs))
            ]
        if all(batch.label is not None for batch in batches) and len({_row_shape(one.label) for one in batches}) == 1:
            self.label = torch.stack([batch.label[row] for batch, row in self._places if batch.label is not None])

    @property
    def size(self) -> int:
        return len(self._places)

    def is_same(self, other: Examples) -> bool:
        return False

    def read(self, index: int) -> tuple[tuple[Tensor, ...], Tensor | None]:
        batch, row = self._places[index]
        return tuple(one[row] for one in batch.inputs), batch.label[row] if batch.label is not None else None

    def all_labels(self, *, seconds: float = 0.5) -> Tensor | None:
        return self.label


def _row_shape(label: Tensor | None) -> tuple[int, ...]:
    return tuple(label.shape[1:]) if label is not None else ()


class Gatherer:
    """In a trial's own process: keeps what each training step and each evaluation was done on.

    Args:
        session: of the program.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        arrays_watched.watch(session.locator)
        self._values = 0
        self.training: list[Batch] = []
        self.evaluation: list[Batch] = []
        self.scene: Scene | None = None
        """The last training step's."""
        self.evaluation_scene: Scene | None = None
        self.first_scene: Scene | None = None
        self._stored: Stored | None = None
        self.looks = 0
        """Steps before which a model was called without a graph."""
        self.metric: Measurement = {}
        self.evaluation_metric: Measurement = {}
        self.mutated: dict[str, object] = {}
        """What taking a batch did to the stored data."""
        self.evaluation_line: Site | None = None
        self.evaluation_label_line: Site | None = None
        """The lines that made the inputs, and the labels, of the first evaluation."""
        self.loop: Site | None = None
        """The line of the loop that the batches come from."""
        self.label_line: Site | None = None
        """The line that gave the labels of all items, or of the batch, to the variable that they lie in."""

    @property
    def has_seen_both(self) -> bool:
        """Whether a few training steps and an evaluation have gone by."""
        return len(self.training) > WHOLE + 1 and bool(self.evaluation_metric or self.evaluation)

    @property
    def is_full(self) -> bool:
        return self._values > MOST_VALUES or len(self.training) > MOST_BATCHES

    def at_backward(self, loss: Tensor, site: Site | None) -> None:
        """A backward pass is about to begin: keep its batch, and those of evaluations since the last one."""
        session = self._session
        trace = session.trace
        calls = [one for one in trace.calls if one.has_parameters]
        with contextlib.suppress(Exception):
            self._look_at_metric(trace, calls, loss)
        if len(self.training) != WHOLE - 1:  # the metric of a training step comes after its backward
            session.trace = Trace()
        trained = [one for one in calls if any(made.requires_grad for made in tensors_in(one.output))]
        with contextlib.suppress(Exception):
            self._evaluations(trace, calls)
        scene = Scene(session, trace, loss, next(reversed(trained or calls), None), site)
        batch = _batch(scene)
        if batch is not None:
            self._keep(batch, self.training)
            self.scene = scene
            with contextlib.suppress(Exception):
                self._look_at_stored(batch, trace)
            if self.first_scene is None:
                self.first_scene = scene
                self._note_lines(scene)

    def _note_lines(self, scene: Scene) -> None:
        """While the user's frames are there: once the program has ended they are gone."""
        locator = self._session.locator
        lines = (loop_around(one) for one in frames(locator))
        self.loop = next((one for one in lines if one is not None), scene.site)
        target = scene.head.target if scene.head is not None else None
        if target is None:
            return
        cut = climb(scene.trace, target)
        label = cut.whole if cut.whole is not None else cut.cut
        self.label_line = alias(locator, label) or self._session.data.births.of(label)

    def _look_at_metric(self, trace: Trace, calls: list[Call], loss: Tensor) -> None:
        """What the program compares with labels after a training step, and after its evaluations."""
        untracked = [one for one in calls if not one.grad_enabled]
        if len(self.training) == WHOLE and calls:
            outputs = [made for one in calls[:1] for made in tensors_in(one.output)]
            scene = Scene(self._session, trace, loss, calls[0], calls[0].site)
            self.metric = looked_at(scene, outputs, calls[0].stop)
        self.looks += bool(untracked)
        if untracked and self.training and not self.evaluation_metric:
            outputs = [made for one in untracked for made in tensors_in(one.output)]
            scene = Scene(self._session, trace, None, untracked[0], untracked[0].site)
            self.evaluation_metric = looked_at(scene, outputs, untracked[0].stop)

    def _look_at_stored(self, batch: Batch, trace: Trace) -> None:
        """At the first batch note the user's arrays; at the second compare; at the third the line is known."""
        number, fed = len(self.training), next((one for one in batch.inputs if one.dim() >= 2), None)
        if number == 1:
            self._stored = Stored(self._session.locator)
        elif self._stored is not None and number == 2 and fed is not None:
            self.mutated = self._stored.compare(fed, trace)
            if self.mutated and self.mutated["site"] is None:
                self._stored.watch_lines()
        elif self._stored is not None and number == 3 and self.mutated:
            self.mutated["site"] = self.mutated["site"] or self._stored.line()

    def _keep(self, batch: Batch, group: list[Batch]) -> None:
        if self._values <= MOST_VALUES:
            self._values += sum(one.numel() for one in batch.inputs)
            group.append(batch)

    def _evaluations(self, trace: Trace, calls: list[Call]) -> None:
        starts = [call.start for call in calls]
        for number, call in enumerate(calls):
            if call.grad_enabled or not self.training:
                continue
            stop = starts[number + 1] if number + 1 < len(calls) else len(trace.ops)
            part = Trace(ops=trace.ops[call.start : stop], calls=[call])
            # A table may be cut before the first of many calls; what was cut is the batch itself then.
            scene = Scene(self._session, part, None, call, call.site)
            batch = _batch(scene)
            if batch is not None:
                self._keep(batch, self.evaluation)
                if self.evaluation_scene is None:
                    self._note_evaluation(scene, trace)
                self.evaluation_scene = scene
        if not calls and self.training:
            self._without_modules(trace)

    def _note_evaluation(self, scene: Scene, trace: Trace) -> None:
        births = self._session.data.births
        births.note(trace)
        given = next((one for one in scene.inputs if one.dim()), None)
        target = scene.head.target if scene.head is not None else None
        self.evaluation_line = (births.of(given) if given is not None else None) or scene.site
        self.evaluation_label_line = births.of(target) if target is not None else None

    def _without_modules(self, trace: Trace) -> None:
        """Evaluation of a program whose model is functions: data meet weights where no graph is recorded."""
        weights = {
            id(one) for op in trace.ops if op.grad_enabled for one in op.inputs if one.requires_grad and one.is_leaf
        }
        ops = [op for op in trace.ops if not op.grad_enabled and op.name in (*WEIGHING, "embedding")]
        entry = next(
            (
                (op, one)
                for op in ops
                if any(id(x) in weights for x in op.inputs)
                for one in op.inputs
                if id(one) not in weights and not one.requires_grad and one.dim() >= 2
            ),
            None,
        )
        if entry is None:
            return
        op, data = entry
        derived = {id(data)}
        label = None
        for later in trace.ops[op.index :]:
            if later.grad_enabled or not any(id(one) in derived for one in later.inputs):
                continue
            others = [one for one in later.inputs if id(one) not in derived and not one.requires_grad]
            fits = [one for one in others if one.dim() and one.shape[0] == data.shape[0] and id(one) not in weights]
            if fits and later.name in ("__eq__", "eq", "cross_entropy", "sub", "__sub__", "nll_loss", "mse_loss"):
                label = fits[0]
                break
            derived |= {id(one) for one in later.outputs}
        batch = _made([data], label, data.shape[0])
        if batch is not None:
            self._keep(batch, self.evaluation)

    # ---------------------------------------------------------------- what was gathered

    def epoch(self) -> tuple[list[Batch], bool]:
        """The batches of the first pass over the data, and whether its end was seen.

        The end is a jump: two batches that were met before, after batches that were new. Where items are drawn with
        replacement the share of known ones creeps up instead, and what is trained on is never known in whole.
        """
        seen: set[bytes] = set()
        shares: list[float] = []
        for number, batch in enumerate(self.training):
            if not batch.keys:
                return self.training, False
            shares.append(sum(key in seen for key in batch.keys) / len(batch.keys))
            seen |= set(batch.keys)
            if len(shares) >= 3 and min(shares[-2:]) >= AGAIN:
                before = shares[:-2][-5:]
                return self.training[: number - 1], sum(before) / len(before) < NEW
        return self.training, False

    def measured(self, *, is_short: bool) -> dict[str, object]:
        """Everything that the batches show, under the names of the probes that measure it elsewhere."""
        from mlkit.debug.probes import gathered

        begin = time.process_time()
        with torch.no_grad():
            if is_short:
                return gathered.metrics(self)
            return {**gathered.measure(self), "gathering": time.process_time() - begin}


def _batch(scene: Scene) -> Batch | None:
    """The inputs and the target of a scene that have the samples first."""
    head = scene.head
    target = head.target if head is not None else None
    given = [one for one in scene.inputs if one is not target and one.dim() and one.numel()]
    if target is not None and not target.dim():
        target = None
    size = target.shape[0] if target is not None else given[0].shape[0] if given else 0
    fits = [one for one in given if one.shape[0] == size]
    if not fits and given and target is not None and target.shape[0] % given[0].shape[0] == 0:
        size, target = given[0].shape[0], None  # one label a place within a sample
        fits = [one for one in given if one.shape[0] == size]
    return _made(fits, target, size)


def _made(inputs: list[Tensor], label: Tensor | None, size: int) -> Batch | None:
    if size < 1 or (not inputs and label is None):
        return None
    kept = [one.detach().cpu().clone() for one in inputs]
    batch = Batch(kept, label.detach().cpu().clone() if label is not None else None, size)
    if kept:
        batch.keys = [fingerprint([one[row] for one in kept]) for row in range(size)]
    return batch
