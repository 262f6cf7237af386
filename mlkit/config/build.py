"""From checked settings to the parts of a run: data, model, optimiser, loss, schedule, hooks.

Not here: the run itself (`mlkit.config.job`). Everything that is built comes from tables in our own source or from
what the user registered; no name that stands in a file is imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlkit.config.rules import TARGET
from mlkit.config.settings import settings_of
from mlkit.errors import ConfigError, Problem, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mlkit.config.schema import Config
    from mlkit.data.batches import Augment
    from mlkit.data.bundle import DataBundle
    from mlkit.engine.hooks import Hook
    from mlkit.metrics.streaming import Metric
    from mlkit.task import Task

_HANDLED_APART = ("name", "augment")


def make_data(config: Config) -> DataBundle:
    """The data set of the settings, read, split and standardised.

    Raises:
        DataError: files that are missing or damaged, content that does not fit.
    """
    from mlkit.data.load import load

    return load(config.data.name, seed=config.seed, **_options(config.data))


def make_model(config: Config, task: Task) -> nn.Module:
    """The model of the settings for ``task``, with weights that only the seed decides.

    Raises:
        ModelError: the model does not fit the data.
    """
    from mlkit.models.auto import build

    return build(config.model.name, task, seed=config.seed, **_options(config.model))


def make_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of the settings over the trainable parameters."""
    from mlkit.engine.optimizers import make_optimizer as make

    return make(model, **{entry.name: getattr(config.optimizer, entry.name) for entry in _entries(config.optimizer)})


def make_schedule(config: Config, total_steps: int | None) -> Any:
    """The learning rate as a factor over the steps.

    Raises:
        ConfigError: the schedule does not fit a run of ``total_steps``.
    """
    from mlkit.engine.schedules import make_schedule as make

    settings = config.schedule
    return make(
        settings.name,
        total_steps=total_steps,
        warmup_steps=settings.warmup_steps,
        final_factor=settings.final_factor,
        step_every=settings.step_every,
        gamma=settings.gamma,
    )


def make_augmentation(config: Config, task: Task | None = None) -> Augment | None:
    """What changes training batches at random; None when nothing does.

    Raises:
        ConfigError: an unknown augmentation, or one that does not fit ``task``.
    """
    if not config.data.augment:
        return None
    from mlkit.data.augment import make_augment

    return make_augment(config.data.augment, task=task)


def make_metrics(config: Config, task: Task) -> list[Metric] | None:
    """The metrics by name; None leaves the choice to the task."""
    if config.trainer.metrics is None:
        return None
    from mlkit.metrics import make_metrics as make

    return make(config.trainer.metrics, task)


def make_hooks(config: Config) -> list[Hook]:
    """What ends a run early, and the average of the weights."""
    from mlkit.engine.ema import Averaging
    from mlkit.engine.stopping import EarlyStopping, TargetReached, TimeLimit

    trainer, hooks = config.trainer, list[Any]()
    if trainer.ema_decay is not None:
        hooks.append(Averaging(trainer.ema_decay))
    if trainer.early_stopping is not None:
        hooks.append(EarlyStopping(trainer.early_stopping, monitor=trainer.monitor or "val/loss"))
    match = TARGET.fullmatch(trainer.target or "")
    if match is not None:
        hooks.append(TargetReached(match.group(1), float(match.group(3))))
    if trainer.max_time is not None:
        hooks.append(TimeLimit(trainer.max_time))
    return hooks


def metric_problems(names: Sequence[str], kind: str | None) -> Iterator[Problem]:
    """What is wrong with the names of metrics, as far as it is known before the data are read."""
    from mlkit.metrics.catalogue import make_metrics as make
    from mlkit.task import Task

    if kind is None:
        return
    # As many classes as can be meant, so that top5 is not refused before the number of classes is known.
    task = Task(kind, "vector", (1,), num_outputs=1_000_000 if kind != "regression" else 1)  # type: ignore[arg-type]
    for name in names:
        try:
            make([name], task)
        except ConfigError as error:
            known = ["loss", *_known_metrics(error)]
            yield Problem(
                f"trainer.metrics: {error.problems[0].what}",
                received=name,
                allowed=", ".join(known),
                todo=did_you_mean(name, known) or "choose one of these",
            )


def _known_metrics(error: ConfigError) -> list[str]:
    names = (error.problems[0].allowed or "").split(", ")
    return [
        *(name for name in names if name != "loss" and " " not in name),
        *(["top5"] if "top2" in str(error) else []),
    ]


def _options(settings: Any) -> dict[str, Any]:
    """The settings of a model or data set beside its name, those left alone (null) left out."""
    values = {entry.name: getattr(settings, entry.name) for entry in _entries(settings)}
    return {key: value for key, value in values.items() if value is not None and key not in _HANDLED_APART}


def _entries(settings: Any) -> list[Any]:
    kind: type = type(settings)
    return [entry for entry in dataclasses.fields(settings) if entry.name in settings_of(kind)]
