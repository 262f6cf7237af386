"""`LivePopulation`: members in training that are moved on, and stopped, by whoever holds them.

Not here: a population that goes its whole way by itself (`mlkit.population.train`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlkit.engine.inputs import HeldOut, TrainingData, named_batches
from mlkit.engine.step import LossFunction
from mlkit.errors import ConfigError
from mlkit.metrics import for_task
from mlkit.metrics.losses import loss_for
from mlkit.metrics.streaming import StreamingMetric
from mlkit.population.course import Course, in_large_batches
from mlkit.population.journey import Journey
from mlkit.population.member import Member
from mlkit.population.plan import BackendWish, plan_cohorts
from mlkit.population.record import Record
from mlkit.population.run import MakeModel, make_runs
from mlkit.runtime.device import resolve_device


class LivePopulation:
    """Members in training.

    Args:
        make_model: called with a member, in their order, gives a fresh model for it.
        members: their settings.
        data: as for `train_many`.
        val: held-out data; for a bundle its own.
        loss_fn: by default what the task calls for.
        metrics: by default what the task calls for.
        max_epochs: of a whole run, which schedules refer to.
        batch_size: examples in a batch of each member.
        backend: as for `train_many`.
        device: as for `train_many`.

    Raises:
        MlkitError: data, models or settings that do not fit.

    >>> import torch
    >>> from torch import nn
    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> members = [Member(lr=0.001), Member(lr=0.1)]
    >>> population = LivePopulation(lambda member: nn.Linear(2, 2), members, (x, (x[:, 0] > 0).long()), max_epochs=3)
    >>> population.advance(1)
    >>> population.stop([0])
    >>> population.advance(3)
    >>> population.record(0).epoch, population.record(1).epoch
    (1, 3)
    """

    def __init__(
        self,
        make_model: MakeModel,
        members: Sequence[Member],
        data: TrainingData,
        *,
        val: HeldOut | None = None,
        loss_fn: LossFunction | None = None,
        metrics: Sequence[StreamingMetric] | None = None,
        max_epochs: int,
        batch_size: int = 32,
        backend: BackendWish = "auto",
        device: str = "auto",
    ) -> None:
        where = resolve_device(device)
        training, judged, task = named_batches(data, val, batch_size=batch_size, seed=0, device=where, augment=None)
        loss = loss_fn if loss_fn is not None else loss_for(task)
        measured = tuple(metrics if metrics is not None else for_task(task))
        course = Course(loss, measured, training, in_large_batches(judged), max_epochs, where)
        self._runs = make_runs(make_model, members, course)
        cohorts = plan_cohorts(self._runs, course, backend)
        self._journey = Journey(
            cohorts, course, keep=None, rungs=[], folder=None, about={}, every=float("inf"), report=None
        )

    @property
    def active(self) -> list[int]:
        """Places of the members that train on."""
        return [run.index for run in self._runs if run.is_active]

    @property
    def epochs_done(self) -> int:
        """By all members together."""
        return sum(run.record.epoch for run in self._runs)

    def advance(self, epoch: int) -> None:
        """Train the active members until each has completed so many epochs, and judge them after each.

        Raises:
            ConfigError: more than a whole run.
        """
        if epoch > self._journey.course.max_epochs:
            longest = self._journey.course.max_epochs
            raise ConfigError("further than a whole run", received=f"epoch {epoch}", allowed=f"up to {longest}")
        self._journey.train_to(epoch)

    def stop(self, members: Sequence[int], *, reason: str = "not asked for any more") -> None:
        """End members, at once giving back their place in memory and in every step."""
        self._journey.end(members, reason)

    def record(self, member: int) -> Record:
        """How a member stands."""
        return self._runs[member].record

    def backends(self) -> dict[str, int]:
        """How many members are trained by what."""
        return dict(Counter(cohort.choice.backend for cohort in self._journey.cohorts for _ in cohort.all))
