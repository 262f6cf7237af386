"""Judging members that are held as one stack: outputs of all at once, then each member's own metrics.

Not here: the metrics (`mlkit.metrics`) and judging a model on its own (`mlkit.engine.evaluation`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from mlkit.data.batches import Batches
from mlkit.data.splits import Batch, Inputs
from mlkit.engine.evaluation import evaluate_model
from mlkit.engine.state import SplitMetrics
from mlkit.metrics.streaming import Loss, StreamingMetric
from mlkit.population.course import Course
from mlkit.population.feed import joined
from mlkit.population.member import Member


class Model(Protocol):
    """What a `Stack` and a `VmapStack` have."""

    @property
    def size(self) -> int:
        """Members."""

    def forward(self, inputs: Inputs, *, shared: bool) -> Tensor:
        """Outputs of all members."""

    def train(self, mode: bool = True) -> None:
        """As `torch.nn.Module.train`."""

    def state_dict_of(self, member: int) -> dict[str, Tensor]:
        """The state dictionary of one member's own model."""


class Judge:
    """Judges the members of a stack.

    Args:
        members: their settings.
        course: what they share.
        rows: examples of all members together that go through the stack at once.
        alone: a model of their kind, which is then given the weights of each in turn; None: all go through the stack.
    """

    def __init__(self, members: Sequence[Member], course: Course, *, rows: int, alone: nn.Module | None = None) -> None:
        self.course, self.rows, self.alone = course, rows, alone
        self.judged = [course.judged_of(member) for member in members]
        self.metrics: list[list[StreamingMetric]] = [
            [Loss(course.loss_fn), *copy.deepcopy(list(course.metrics))] for _ in members
        ]

    def select(self, places: Sequence[int]) -> None:
        """Keep the members at these places."""
        self.judged = [self.judged[place] for place in places]
        self.metrics = [self.metrics[place] for place in places]

    @torch.no_grad()
    def __call__(self, model: Model, split: str) -> list[SplitMetrics | ArithmeticError]:
        """The metrics of each member on a split, in evaluation mode; the mode is training afterwards.

        Of a member with outputs that no metric can be computed of: why.
        """
        if self.alone is not None:
            return [self._one(self.alone, model, place, split) for place in range(model.size)]
        own = [judged[split] for judged in self.judged]
        shared = all(each is own[0] for each in own)
        for each in (metric for metrics in self.metrics for metric in metrics):
            each.reset()
        model.train(False)
        for inputs, targets in _shared(own[0]) if shared else _own(own):
            outputs = self._outputs(model, inputs, shared=shared)
            for place, metrics in enumerate(self.metrics):
                for metric in metrics:
                    metric.update(outputs[place], targets if shared else targets[place])
        model.train(True)
        return [_computed(metrics) for metrics in self.metrics]

    def _one(self, alone: nn.Module, model: Model, place: int, split: str) -> SplitMetrics | ArithmeticError:
        alone.load_state_dict(model.state_dict_of(place))
        course = self.course
        try:
            return evaluate_model(alone, self.judged[place][split], metrics=course.metrics, loss_fn=course.loss_fn)
        except ArithmeticError as error:
            return error

    def _outputs(self, model: Model, inputs: Inputs, *, shared: bool) -> Tensor:
        """Outputs ``(K, B, …)``, through the stack in parts that memory has room for as in training."""
        axis = 0 if shared else 1
        count = next(iter(inputs.values() if isinstance(inputs, Mapping) else inputs)).shape[axis]
        size = max(1, self.rows // model.size)
        if count <= size:
            return model.forward(inputs, shared=shared)
        parts = [
            model.forward(_narrow(inputs, axis, start, min(size, count - start)), shared=shared)
            for start in range(0, count, size)
        ]
        return torch.cat(parts, 1)


def is_judged_alone(model: nn.Module, device: torch.device) -> bool:
    """Whether members of this kind are judged faster one by one.

    Without gradients, on a CPU, PyTorch's own recurrent and convolution kernels are faster than any that take several
    members: as a stack, 8 LSTMs of 32 units over 20 steps took 6 times as long, 8 LeNets 1.6 times (one thread).
    """
    kinds = (nn.RNNBase, nn.modules.conv._ConvNd)
    return device.type == "cpu" and any(isinstance(module, kinds) for module in model.modules())


def _computed(metrics: Sequence[StreamingMetric]) -> SplitMetrics | ArithmeticError:
    try:
        return {metric.name: metric.compute() for metric in metrics}
    except ArithmeticError as error:  # the square of a loss of 1e200
        return error


def _shared(batches: Batches) -> Iterator[tuple[Inputs, Tensor]]:
    for batch in batches.epoch(0):
        yield batch.inputs, batch.targets


def _own(batches: Sequence[Batches]) -> Iterator[tuple[Inputs, Tensor]]:
    for row in zip(*(each.epoch(0) for each in batches), strict=True):
        made: tuple[Batch, ...] = row
        yield joined(made)


def _narrow(inputs: Inputs, axis: int, start: int, count: int) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: x.narrow(axis, start, count) for name, x in inputs.items()}
    return tuple(x.narrow(axis, start, count) for x in inputs)
