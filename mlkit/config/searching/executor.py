"""`ConfigExecutor`: configurations of a search trained together, each as `python -m mlkit.train` alone would train it.

Not here: which configurations (`mlkit.search`) and how many are trained at once (`mlkit.population`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from mlkit.config import build
from mlkit.config.schema import Config
from mlkit.config.searching.spaces import config_of
from mlkit.data.bundle import DataBundle
from mlkit.engine.state import SplitMetrics
from mlkit.errors import ConfigError, MlkitError, Problem
from mlkit.metrics.losses import loss_for
from mlkit.population.live import LivePopulation
from mlkit.population.member import Member
from mlkit.population.plan import BackendWish
from mlkit.search.trials import Job, Outcome

ALONE = {
    "trainer.accumulate": 1,
    "trainer.max_steps": None,
    "trainer.max_time": None,
    "trainer.early_stopping": None,
    "trainer.target": None,
    "trainer.ema_decay": None,
}
"""Settings of a run that members trained together cannot have, and the value that they have instead."""


class ConfigExecutor:
    """Trains the configurations of a search; an `mlkit.search.Executor`.

    Those that are asked for again, with more epochs, go on where they stopped; those that are not are let go.

    Args:
        config: settings that are not searched.
        data: the data set; the same for all.
        metric: ``"val/loss"``, or another that is evaluated after each epoch.
        backend: how many are trained at once; ``"auto"`` measures.

    Raises:
        ConfigError: settings that members trained together cannot have.
    """

    takes = ("fidelity", "seed")

    def __init__(self, config: Config, data: DataBundle, *, metric: str, backend: BackendWish = "auto") -> None:
        refuse_what_runs_alone(config)
        self.config, self.data, self.metric, self.backend = config, data, metric, backend
        self._live: list[tuple[list[Job], LivePopulation]] = []
        self.epochs = 0
        self.backends: dict[str, int] = {}

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Outcomes, those that cannot be built first, then population by population."""
        going = {_which(job) for job in jobs}
        for members, population in self._live:
            population.stop([place for place, job in enumerate(members) if _which(job) not in going])
        self._live = [(members, population) for members, population in self._live if population.active]
        known = {_which(job) for members, _ in self._live for job in members}
        yield from self._begin([job for job in jobs if _which(job) not in known])
        wanted = {_which(job): job for job in jobs}
        for members, population in self._live:
            epochs = max(self._epochs(wanted[_which(job)]) for job in members if _which(job) in wanted)
            before = population.epochs_done
            population.advance(epochs)
            self.epochs += population.epochs_done - before
            for place, job in enumerate(members):
                if _which(job) in wanted:
                    yield self._outcome(wanted[_which(job)], population, place)

    def _begin(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Start the new ones, in populations of one batch size each."""
        by_size: dict[int, list[tuple[Job, Config, nn.Module]]] = {}
        for job in jobs:
            try:
                config = config_of(self.config, job.params, seed=job.seed)
                model = build.make_model(config, self.data.task)
            except MlkitError as error:  # a corner of the space that no model fits: a result, not the end
                yield Outcome(job, None, str(error.problems[0].what))
                continue
            by_size.setdefault(config.trainer.batch_size, []).append((job, config, model))
        for size, group in by_size.items():
            models = iter([model for _, _, model in group])
            population = LivePopulation(
                lambda member, models=models: next(models),  # type: ignore[misc]
                [member_of(config, self.data) for _, config, _ in group],
                self.data,
                loss_fn=loss_for(self.data.task),
                max_epochs=self._epochs(None),
                batch_size=size,
                backend=self.backend,
                device=self.config.trainer.device,
            )
            for name, count in population.backends().items():
                self.backends[name] = self.backends.get(name, 0) + count
            self._live.append(([job for job, _, _ in group], population))

    def _epochs(self, job: Job | None) -> int:
        longest = self.config.trainer.max_epochs
        assert longest is not None
        return longest if job is None or job.fidelity is None else int(job.fidelity)

    def _outcome(self, job: Job, population: LivePopulation, place: int) -> Outcome:
        record = population.record(place)
        if record.status in ("diverged", "failed"):
            return Outcome(job, None, f"{record.status}: {record.reason}")
        metrics = named(record.metrics)
        if self.metric not in metrics:
            raise ConfigError(
                "the metric that decides is not evaluated after an epoch",
                received=f"search.metric={self.metric}",
                allowed=", ".join(metrics),
            )
        split, _, name = self.metric.partition("/")
        curve = [
            (float(line["epoch"]), float(line[name]))
            for line in record.history
            if line["split"] == split and name in line
        ]
        return Outcome(job, metrics[self.metric], metrics=metrics, curve=tuple(curve))


def member_of(config: Config, data: DataBundle) -> Member:
    """The member of a population that trains as ``config`` says."""
    optimizer, schedule, trainer = config.optimizer, config.schedule, config.trainer
    return Member(
        seed=config.seed,
        optimizer=optimizer.name,
        lr=optimizer.lr,
        weight_decay=optimizer.weight_decay,
        betas=optimizer.betas,
        eps=optimizer.eps,
        momentum=optimizer.momentum,
        nesterov=optimizer.nesterov,
        schedule=schedule.name,
        warmup_steps=schedule.warmup_steps,
        final_factor=schedule.final_factor,
        step_every=schedule.step_every,
        gamma=schedule.gamma,
        clip_norm=trainer.clip_norm,
        label_smoothing=trainer.label_smoothing,
        augment=build.make_augmentation(config, data.task),
    )


def refuse_what_runs_alone(config: Config) -> None:
    """Refuse settings that members trained together cannot have.

    Raises:
        ConfigError: all of them at once.
    """
    problems = []
    for name, value in ALONE.items():
        section, _, key = name.partition(".")
        received = getattr(getattr(config, section), key)
        if received != value:
            what = f"{name} is not possible in a search, whose runs are trained together"
            problems.append(Problem(what, received=received, todo=f"leave {name} out"))
    if config.trainer.max_epochs is None:
        problems.append(Problem("a search needs to know how long a run is", todo="set trainer.max_epochs"))
    if problems:
        raise ConfigError(problems)


def named(metrics: dict[str, SplitMetrics]) -> dict[str, float]:
    """Values by ``split/metric``."""
    return {f"{split}/{name}": estimate.value for split, found in metrics.items() for name, estimate in found.items()}


def _which(job: Job) -> tuple[int, int]:
    return job.trial, job.seed
