"""Learners: from training rows and a seed to a function that predicts; ours trains a model with `mlkit.engine.fit`.

Not here: which rows a learner gets (`mlkit.evaluate.partition`) and what becomes of its predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from mlkit.data.adapt import as_batches
from mlkit.data.batches import batch_bounds
from mlkit.engine.evaluation import evaluation_mode
from mlkit.engine.fit import fit
from mlkit.engine.optimizers import OptimizerName, make_optimizer
from mlkit.engine.schedules import ScheduleName
from mlkit.engine.step import forward
from mlkit.errors import ConfigError, TrainingError
from mlkit.evaluate.outputs import Predictions
from mlkit.evaluate.partition import Rows
from mlkit.population.member import Member
from mlkit.population.result import PopulationResult
from mlkit.population.train import train_many
from mlkit.runtime import rng
from mlkit.runtime.device import resolve_device
from mlkit.runtime.keys import derive_seed

Inputs = Any
"""What the user gives as inputs: a tensor, an array, or a tuple of them; first axis = rows."""
Predict = Callable[[Inputs], Predictions]


class Job(NamedTuple):
    """One training run.

    Args:
        rows: the training rows it sees, ascending.
        seed: of everything else: initial weights, order, dropout.
    """

    rows: Rows
    seed: int


class Learner(Protocol):
    """Trains on ``x`` and ``y`` and returns ``predict(x) -> (m, outputs)``; equal arguments, equal predictions."""

    def __call__(self, x: Inputs, y: Predictions, seed: int, /) -> Predict:
        """Train once."""


@runtime_checkable
class TrainsMany(Protocol):
    """A learner that can carry out all training runs together."""

    def fit_many(self, x: Inputs, y: Predictions, jobs: Sequence[Job]) -> Sequence[Predict]:
        """One function that predicts for each job, in the order of the jobs."""


@dataclass(frozen=True)
class Trained:
    """A learner that trains a model with `mlkit.engine.fit`.

    Args:
        make_model: ``make_model(seed) -> module``, fresh weights. Torch's generator is seeded before it is called, so
            that it may also ignore the seed.
        max_epochs: passes over the rows it is given. Half the rows are half the steps an epoch.
        max_steps: optimiser steps; give this instead where halves and full data are to be trained for equally long.
        batch_size: examples in a batch.
        optimizer: see `make_optimizer`.
        lr: learning rate.
        weight_decay: see `make_optimizer`.
        momentum: of SGD.
        schedule: name of a schedule; see `fit`.
        device: where to train.

    Raises:
        ConfigError: neither ``max_epochs`` nor ``max_steps``.

    >>> learner = Trained(lambda seed: nn.Linear(2, 2), max_epochs=1)
    >>> x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    >>> learner(x, (x[:, 0] > 0).long(), 7)(x).shape
    torch.Size([20, 2])
    """

    make_model: Callable[[int], nn.Module]
    max_epochs: int | None = 10
    max_steps: int | None = None
    batch_size: int = 32
    optimizer: OptimizerName = "adam"
    lr: float = 3e-4
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: ScheduleName | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.max_epochs is None and self.max_steps is None:
            raise ConfigError(
                "it is not said how long to train",
                received="max_epochs=None, max_steps=None",
                allowed="a number for one of the two",
                todo="max_epochs=10",
            )

    def __call__(self, x: Inputs, y: Predictions, seed: int, /) -> Predict:
        """Train a model on the rows; the process-wide random streams are left as they are found."""
        model = self._fresh(seed)
        optimizer = make_optimizer(
            model, name=self.optimizer, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum
        )
        fit(
            model,
            (x, y),
            optimizer=optimizer,
            schedule=self.schedule,
            max_epochs=self.max_epochs,
            max_steps=self.max_steps,
            batch_size=self.batch_size,
            metrics=[],
            seed=seed,
            device=self.device,
        )
        return Predictor(model, resolve_device(self.device))

    def fit_many(self, x: Inputs, y: Predictions, jobs: Sequence[Job]) -> Sequence[Predict]:
        """All jobs as populations, each as `__call__` on its rows; only dropout draws from another stream.

        Jobs with other numbers of rows are other populations, since they may have other numbers of steps. A
        ``max_steps`` that ends within an epoch is trained one after another: a population trains whole epochs.

        Args:
            x: inputs of all rows.
            y: their targets.
            jobs: rows and seeds.

        Raises:
            TrainingError: a model did not come to its end.
            MlkitError: data, model or settings that do not fit.
        """

        def trained(some: Sequence[Job], count: int) -> Sequence[Predict]:
            epochs = self._whole_epochs(count)
            if epochs is None or len(some) == 1:
                return [self(take(x, job.rows), take(y, job.rows), job.seed) for job in some]
            return self._together(x, y, some, epochs)

        return by_number_of_rows(jobs, trained)

    def _whole_epochs(self, rows: int) -> int | None:
        """How many epochs a run on so many rows has; None where it does not end with one."""
        if self.max_steps is None:
            return self.max_epochs
        batches = len(batch_bounds(rows, self.batch_size, join_single=True)) - 1
        if self.max_epochs is not None and self.max_epochs * batches <= self.max_steps:
            return self.max_epochs
        return None if self.max_steps % batches else self.max_steps // batches

    def _together(self, x: Inputs, y: Predictions, jobs: Sequence[Job], epochs: int) -> list[Predict]:
        members = [
            Member(
                seed=job.seed,
                optimizer=self.optimizer,
                lr=self.lr,
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                schedule=self.schedule,
                rows=torch.from_numpy(job.rows),
            )
            for job in jobs
        ]
        one = np.zeros(1, dtype=np.int64)
        results = train_many(
            lambda member: self._fresh(member.seed),
            members,
            (x, y),
            val=(take(x, one), take(y, one)),  # without any, all training rows would be judged after every epoch
            metrics=[],
            max_epochs=epochs,
            batch_size=self.batch_size,
            device=self.device,
        )
        return predictors(results, resolve_device(self.device), todo="lower lr")

    def _fresh(self, seed: int) -> nn.Module:
        with rng.preserved():
            rng.seed_everything(derive_seed(seed, "weights"))
            return self.make_model(seed)


def by_number_of_rows(jobs: Sequence[Job], train: Callable[[Sequence[Job], int], Sequence[Predict]]) -> list[Predict]:
    """What ``train(jobs, rows)`` gives for the jobs of each number of rows, in the order of all jobs."""
    found: dict[int, Predict] = {}
    for count in dict.fromkeys(len(job.rows) for job in jobs):
        places = [place for place, job in enumerate(jobs) if len(job.rows) == count]
        found.update(zip(places, train([jobs[place] for place in places], count), strict=True))
    return [found[place] for place in range(len(jobs))]


def predictors(results: PopulationResult, device: torch.device, *, todo: str) -> list[Predict]:
    """The models of a population as functions of inputs.

    Raises:
        TrainingError: one did not come to its end.
    """
    for result in results:
        if result.status != "completed":
            raise TrainingError(
                "a model that was trained on part of the data did not come to its end",
                received=f"{result.status}: {result.reason}",
                todo=todo,
            )
    return [Predictor(result.model, device) for result in results]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts with a trained model in evaluation mode, in batches.

    Args:
        model: trained.
        device: where it is.
        batch_size: rows at once.
    """

    model: nn.Module
    device: torch.device
    batch_size: int = 512

    def __call__(self, x: Inputs, /) -> Tensor:
        rows = len(x[0] if isinstance(x, tuple) else x)
        # Targets that nobody reads: what batches are made of is a pair.
        batches = as_batches(
            (x, torch.zeros(rows)), batch_size=self.batch_size, shuffle=False, seed=0, device=self.device, augment=None
        )
        with evaluation_mode(self.model):
            return torch.cat([forward(self.model, batch).float().cpu() for batch in batches.epoch(0)])


def take(x: Inputs, rows: Rows) -> Inputs:
    """The rows of a tensor, an array, a list, or a tuple of them."""
    if isinstance(x, tuple):
        return tuple(take(part, rows) for part in x)
    if isinstance(x, Tensor):
        return x[torch.from_numpy(rows).to(x.device)]
    return np.asarray(x)[rows]


def carry_out(learner: Learner, x: Inputs, y: Predictions, jobs: Sequence[Job]) -> Iterator[Predict]:
    """All training runs, in the order of ``jobs``: together where the learner can, else each when it is asked for."""
    if isinstance(learner, TrainsMany):
        yield from learner.fit_many(x, y, jobs)
    else:
        for job in jobs:
            yield learner(take(x, job.rows), take(y, job.rows), job.seed)
