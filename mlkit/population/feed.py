"""`Feed`: the batches of members that train in step, gathered at once: one for all where they share it, else one each.

Not here: the order of one member (`mlkit.data.batches`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from mlkit.data.batches import Augment, Batches, SplitBatches, batch_bounds
from mlkit.data.splits import Batch, Inputs, Split
from mlkit.population.course import Course, Rows, weights_of
from mlkit.population.member import Member
from mlkit.runtime.keys import derive_seed


class Fed(NamedTuple):
    """What K members train on in one step.

    ``inputs`` and ``targets`` are ``(B, …)`` where ``shared``, else ``(K, B, …)``; ``weights`` ``(K, B)`` or None.
    """

    inputs: Inputs
    targets: Tensor
    weights: Tensor | None
    shared: bool
    examples: int


@dataclass(frozen=True)
class _Source:
    """Where a member's batches come from; members whose sources are equal share their batches."""

    seed: int
    augment: Augment | None
    rows: int | None
    """Identity of the tensor of rows; None: all."""


class Feed:
    """The batches of members of one bucket, each exactly those of `Course.training_of`.

    Args:
        members: their settings; all see the same number of examples.
        course: what they share.
    """

    def __init__(self, members: Sequence[Member], course: Course) -> None:
        self.members, self.course = list(members), course
        self.sources = [_source(member) for member in members]
        self.distinct = list(dict.fromkeys(self.sources))
        self.shared = len(self.distinct) == 1
        first = {source: self.members[self.sources.index(source)] for source in self.distinct}
        self.batches: list[Batches] = [_unweighted(course, first[source]) for source in self.distinct]
        place = {source: number for number, source in enumerate(self.distinct)}
        self.places = torch.tensor([place[source] for source in self.sources], device=course.device)
        self.weights = self._weights()

    def __len__(self) -> int:
        return len(self.batches[0])

    def _weights(self) -> Tensor | None:
        if all(member.weights is None for member in self.members):
            return None
        device, count = self.course.device, self.batches[0].num_examples
        return torch.stack([
            torch.ones(count, device=device) if member.weights is None else weights_of(member, device)
            for member in self.members
        ])  # fmt: skip

    def epoch(self, epoch: int) -> Iterator[Fed]:
        """The batches of an epoch, in order."""
        if not all(isinstance(batches, SplitBatches) for batches in self.batches):
            for batch in self.batches[0].epoch(epoch):  # one loader for all: anything else is another bucket
                yield Fed(batch.inputs, batch.targets, None, True, len(batch.targets))
            return
        batches = [each for each in self.batches if isinstance(each, SplitBatches)]
        orders = torch.stack([each.order(epoch) for each in batches])
        rows = torch.stack([_rows(each, order) for each, order in zip(batches, orders, strict=True)])
        bounds = batch_bounds(orders.shape[1], batches[0].batch_size, join_single=True)
        for number in range(len(bounds) - 1):
            part = slice(bounds[number], bounds[number + 1])
            index = rows[:, part]
            if any(each.augment is not None for each in batches):
                inputs, targets = self._augmented(batches, index, epoch, number)
            else:
                inputs, targets = _base(batches[0]).gather(index.flatten())
                inputs, targets = _unflatten(inputs, index.shape), targets.view(*index.shape, *targets.shape[1:])
            weights = None
            if self.weights is not None:
                weights = self.weights.gather(1, orders[:, part].index_select(0, self.places))
            yield self._spread(inputs, targets, weights, index.shape[1])

    def _augmented(self, batches: list[SplitBatches], index: Tensor, epoch: int, number: int) -> tuple[Inputs, Tensor]:
        """Batch by batch, as `SplitBatches.epoch` does it, since an augmentation takes one."""
        made = []
        for each, rows in zip(batches, index, strict=True):
            batch = _base(each).gather(rows)
            if each.augment is not None:
                stream = torch.Generator(device=rows.device)
                stream.manual_seed(derive_seed(each.seed, "augment", epoch, number))
                batch = each.augment(batch, stream)
            made.append(batch)
        return joined(made)

    def _spread(self, inputs: Inputs, targets: Tensor, weights: Tensor | None, examples: int) -> Fed:
        """From one batch a source to one a member."""
        if self.shared:
            return Fed(_each(inputs, 0), targets[0], weights, True, examples)
        if len(self.distinct) < len(self.members):
            inputs, targets = _select(inputs, self.places), targets.index_select(0, self.places)
        return Fed(inputs, targets, weights, False, examples)


def joined(batches: Sequence[Batch]) -> tuple[Inputs, Tensor]:
    """Batches of K members as one, ``(K, B, …)``."""
    targets = torch.stack([batch.targets for batch in batches])
    first = batches[0].inputs
    if isinstance(first, Mapping):
        mappings = [cast("Mapping[str, Tensor]", batch.inputs) for batch in batches]
        return {name: torch.stack([each[name] for each in mappings]) for name in first}, targets
    columns = zip(*(cast("tuple[Tensor, ...]", batch.inputs) for batch in batches), strict=True)
    return tuple(torch.stack(column) for column in columns), targets


def _source(member: Member) -> _Source:
    return _Source(member.order_seed, member.augment, None if member.rows is None else id(member.rows))


def _unweighted(course: Course, member: Member) -> Batches:
    batches = course.training_of(member)
    return getattr(batches, "batches", batches)


def _base(batches: SplitBatches) -> Split:
    return batches.split.split if isinstance(batches.split, Rows) else batches.split


def _rows(batches: SplitBatches, order: Tensor) -> Tensor:
    """The places of the examples in the whole split."""
    return batches.split.rows[order] if isinstance(batches.split, Rows) else order


def _unflatten(inputs: Inputs, shape: torch.Size) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: x.view(*shape, *x.shape[1:]) for name, x in inputs.items()}
    return tuple(x.view(*shape, *x.shape[1:]) for x in inputs)


def _each(inputs: Inputs, place: int) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: x[place] for name, x in inputs.items()}
    return tuple(x[place] for x in inputs)


def _select(inputs: Inputs, places: Tensor) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: x.index_select(0, places) for name, x in inputs.items()}
    return tuple(x.index_select(0, places) for x in inputs)
