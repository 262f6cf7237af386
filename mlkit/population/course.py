"""`Course`: what all members share (data, loss, metrics, epochs), and each member's own part of it.

Not here: carrying it out (the back ends).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mlkit.data.batches import Batches, SplitBatches, batch_bounds
from mlkit.data.loaders import LoaderBatches
from mlkit.data.splits import Batch, Split
from mlkit.engine.fit import planned_steps
from mlkit.engine.schedules import Schedule
from mlkit.engine.step import LossFunction, StepFunction, forward, supervised
from mlkit.errors import ConfigError, Problem
from mlkit.metrics.streaming import StreamingMetric
from mlkit.population.member import Member, make_member_schedule
from mlkit.population.stacked.losses import member_losses

WATCHED = ("val", "target_val")
"""Splits that are judged after each epoch. `fit` also judges a sample of ``train``, which costs a third of an epoch."""


@dataclass(frozen=True, eq=False)
class Course:
    """What all members share.

    Args:
        loss_fn: by which members are judged, and trained but for label smoothing.
        metrics: evaluated beside it.
        training: batches of the whole training split.
        judged: batches to judge, by split.
        max_epochs: of the whole run.
        device: where members are trained.
    """

    loss_fn: LossFunction
    metrics: tuple[StreamingMetric, ...]
    training: Batches
    judged: dict[str, Batches]
    max_epochs: int
    device: torch.device

    @property
    def watched(self) -> list[str]:
        """Names of the splits that are judged after each epoch: what is held out, else ``train``."""
        return [name for name in WATCHED if name in self.judged] or ["train"]

    def training_of(self, member: Member) -> Batches:
        """The batches that a member is trained on, in its own order."""
        training = self.training
        if isinstance(training, SplitBatches):
            split = _part(training.split, member.rows)
            own = replace(training, split=split, seed=member.order_seed, augment=member.augment)
            return own if member.weights is None else WeightedBatches(own, weights_of(member, self.device))
        if isinstance(training, LoaderBatches):
            return LoaderBatches(
                training.loader, seed=member.order_seed, device=training.device, augment=member.augment
            )
        return training

    def judged_of(self, member: Member) -> dict[str, Batches]:
        """What a member is judged on: its ``train`` is what it is trained on."""
        train = self.judged["train"]
        if member.rows is None or not isinstance(train, SplitBatches):
            return self.judged
        return {**self.judged, "train": replace(train, split=_part(train.split, member.rows))}

    def loss_of(self, member: Member) -> LossFunction:
        """The loss that a member is trained with."""
        if not member.label_smoothing:
            return self.loss_fn
        # One of ours: `check` has refused others.
        smoothed: LossFunction = replace(self.loss_fn, label_smoothing=member.label_smoothing)  # type: ignore[type-var]
        return smoothed

    def step_of(self, member: Member) -> StepFunction:
        """How a member's loss of a batch is computed."""
        loss_fn = self.loss_of(member)
        return supervised(loss_fn) if member.weights is None else _weighted_step(loss_fn)

    def schedule_of(self, member: Member) -> Schedule | None:
        """The factor on a member's learning rate."""
        return make_member_schedule(member, planned_steps(len(self.training_of(member)), max_epochs=self.max_epochs))

    def problems_with(self, member: Member, label: str) -> Iterator[Problem]:
        """What of a member's settings does not fit the data and the loss."""
        yield from self._problems_with_rows(member, label)
        if member.label_smoothing and not hasattr(self.loss_fn, "label_smoothing"):
            what = f"{label}: label smoothing is not known to the loss"
            yield Problem(what, type(self.loss_fn).__name__, "the cross-entropy that mlkit chooses for classes")
        if member.weights is not None and not hasattr(self.loss_fn, "per_example"):
            what = f"{label}: weights need the loss of each example"
            yield Problem(
                what, "a loss without per_example", "a loss with a method per_example(output, target) -> (N,)"
            )
        try:
            self.schedule_of(member)
        except ConfigError as error:
            yield from (replace(problem, what=f"{label}: {problem.what}") for problem in error.problems)

    def _problems_with_rows(self, member: Member, label: str) -> Iterator[Problem]:
        if member.rows is None and member.weights is None and member.augment is None:
            return
        if not isinstance(self.training, SplitBatches):
            if member.rows is not None or member.weights is not None:
                what = f"{label}: rows and weights need data that are held in memory"
                yield Problem(what, type(self.training).__name__, "a DataBundle, tensors or arrays")
            elif not isinstance(self.training, LoaderBatches):
                yield Problem(f"{label}: batches of your own are used as they are, without augment=")
            return
        count = len(self.training.split)
        if member.rows is not None and not 0 <= int(member.rows.min()) <= int(member.rows.max()) < count:
            received = f"from {int(member.rows.min())} to {int(member.rows.max())}"
            yield Problem(f"{label}: rows that do not exist", received, f"from 0 to {count - 1}")
        if member.weights is not None and len(member.weights) != count:
            what = f"{label}: there are not as many weights as training examples"
            yield Problem(what, str(len(member.weights)), str(count))


@dataclass(frozen=True, eq=False)
class Rows:
    """Some examples of a split, by index: nothing is copied, so that many members can have halves of one split."""

    split: Split
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        return self.split.device

    @property
    def targets(self) -> Tensor:
        return self.split.targets[self.rows]

    def gather(self, index: Tensor) -> Batch:
        return self.split.gather(self.rows.index_select(0, index))

    def subset(self, index: Tensor) -> Rows:
        """The examples at ``index``, in that order."""
        return Rows(self.split, self.rows[index])

    def to(self, device: torch.device | str) -> Rows:
        return Rows(self.split.to(device), self.rows.to(device))

    def tensors(self) -> Mapping[str, Tensor]:
        return self.split.subset(self.rows).tensors()


class WeightedBatch(Batch):
    """A batch and the weight of each of its examples, ``(B,)``."""

    weights: Tensor


@dataclass(frozen=True, eq=False)
class WeightedBatches:
    """Batches with the weights of their examples.

    Args:
        batches: as they are without weights.
        weights: of all examples of their split, ``(N,)``.
    """

    batches: SplitBatches
    weights: Tensor

    @property
    def num_examples(self) -> int:
        return self.batches.num_examples

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        order = self.batches.order(epoch)
        bounds = batch_bounds(len(order), self.batches.batch_size, join_single=self.batches.shuffle)
        for number, batch in enumerate(self.batches.epoch(epoch, start=start), start):
            weighted = WeightedBatch(*batch)
            weighted.weights = self.weights[order[bounds[number] : bounds[number + 1]]]
            yield weighted


def in_large_batches(judged: Mapping[str, Batches]) -> dict[str, Batches]:
    """Held-out splits in batches as large as those in which ``train`` is judged: each batch costs calls a member."""
    train = judged["train"]
    if not isinstance(train, SplitBatches):
        return dict(judged)
    size = train.batch_size
    return {
        name: replace(batches, batch_size=max(batches.batch_size, size))
        if isinstance(batches, SplitBatches)
        else batches
        for name, batches in judged.items()
    }


def weights_of(member: Member, device: torch.device) -> Tensor:
    """The weights of the examples that a member sees, float32."""
    assert member.weights is not None
    weights = member.weights if member.rows is None else member.weights[member.rows.to(member.weights.device)]
    return weights.to(device, torch.float32)


def without_leaks(member: Member, model: nn.Module) -> Member:
    """The member with weights of 0 and 1 turned into rows where the model has BatchNorm.

    There an example of weight 0 would still enter the batch statistics.
    """
    weights = member.weights
    if weights is None or not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        return member
    if not bool(((weights == 0) | (weights == 1)).all()):
        return member
    rows = weights.nonzero()[:, 0] if member.rows is None else member.rows[weights[member.rows] == 1]
    return replace(member, rows=rows, weights=None)


def _part(split: Split, rows: Tensor | None) -> Split:
    return split if rows is None else Rows(split, rows.to(split.device))


def _weighted_step(loss_fn: LossFunction) -> StepFunction:
    def step(model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(batch, WeightedBatch)
        output = forward(model, batch)
        losses = member_losses(
            loss_fn, output[None], batch.targets[None], weights=batch.weights[None], own_targets=True
        )
        return losses[0]

    return step
