"""`ConfigLearner`: trains as a run's settings say, on some of its training rows; all at once where that is faster.

Not here: which rows (`mlkit.evaluate.partition`) and how many are trained at once (`mlkit.population`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from mlkit.config import build
from mlkit.config.schema import Config
from mlkit.config.searching.executor import member_of, refuse_what_runs_alone
from mlkit.data.bundle import DataBundle
from mlkit.evaluate.learners import Inputs, Job, Predict, by_number_of_rows, predictors
from mlkit.evaluate.outputs import Predictions
from mlkit.metrics.losses import loss_for
from mlkit.population.member import Member
from mlkit.population.train import train_many
from mlkit.runtime.device import resolve_device


@dataclass(eq=False)
class ConfigLearner:
    """A learner for `mlkit.evaluate.decompose`; it trains on rows of the bundle's own training split.

    Args:
        config: of the run.
        data: its data; every model is trained on rows of ``train``.
        speed: filled with how the models were trained.
        trained: filled with the rows and seed of every model, and its predictions.
    """

    config: Config
    data: DataBundle
    speed: list[dict[str, object]] = field(default_factory=list)
    trained: list[tuple[Job, Predict]] = field(default_factory=list)

    def __post_init__(self) -> None:
        refuse_what_runs_alone(self.config)

    def __call__(self, x: Inputs, y: Predictions, seed: int, /) -> Predict:
        """Not used: `fit_many` does all jobs."""
        raise NotImplementedError

    def fit_many(self, x: Inputs, y: Predictions, jobs: Sequence[Job]) -> Sequence[Predict]:
        """A function that predicts for each job; fewer rows get more epochs: as many steps as the run had.

        Else what half the steps cost would pass for the worth of half the data.

        Raises:
            TrainingError: a model did not come to its end.
        """
        del x, y  # the same rows, of which the bundle itself makes batches, augmented as in the run
        found = by_number_of_rows(jobs, self._trained)
        self.trained += zip(jobs, found, strict=True)
        return found

    def _trained(self, jobs: Sequence[Job], count: int) -> list[Predict]:
        members = [
            dataclasses.replace(member_of(self._config(job), self.data), rows=torch.from_numpy(job.rows))
            for job in jobs
        ]
        epochs = self.config.trainer.max_epochs
        assert epochs is not None
        results = train_many(
            self._model,
            members,
            # Nobody looks at how these models do after each epoch: one row is the fewest that can be judged.
            dataclasses.replace(self.data, val=self.data.val.subset(torch.tensor([0])), test=None, target_val=None),
            loss_fn=loss_for(self.data.task),
            metrics=[],
            max_epochs=round(epochs * len(self.data.train) / count),
            batch_size=self.config.trainer.batch_size,
            device=self.config.trainer.device,
        )
        self.speed += results.speed
        todo = "a lower optimizer.lr, or trainer.clip_norm=1"
        return predictors(results, resolve_device(self.config.trainer.device), todo=todo)

    def _config(self, job: Job) -> Config:
        return dataclasses.replace(self.config, seed=job.seed)

    def _model(self, member: Member) -> nn.Module:
        return build.make_model(dataclasses.replace(self.config, seed=member.seed), self.data.task)
