"""The one list of settings of a run: names, types, defaults, ranges and help.

Not here: the settings of each model and data set (`mlkit.config.choices`), and any import of torch or Hydra.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlkit.config.choices import AutoModel, DigitsData
from mlkit.config.settings import setting, settings_of


@dataclass
class OptimizerSettings:
    """How the weights follow the gradient."""

    name: Literal["adam", "adamw", "sgd"] = setting("adam", "method")
    lr: float = setting(3e-4, "learning rate; larger is faster until it diverges", within="> 0")
    weight_decay: float = setting(0.0, "pull of the weights to zero; never on norms and biases", within=">= 0")
    betas: tuple[float, float] = setting((0.9, 0.999), "memory of Adam's two averages", within="[0, 1)")
    eps: float = setting(1e-8, "added to Adam's denominator", within="> 0")
    momentum: float = setting(0.9, "memory of SGD", within="[0, 1)")
    nesterov: bool = setting(False, "SGD looks ahead along its momentum")


@dataclass
class ScheduleSettings:
    """The learning rate over the run, as a factor of optimizer.lr."""

    name: Literal["constant", "linear", "cosine", "one_cycle", "step"] = setting("constant", "shape")
    warmup_steps: int = setting(0, "steps in which the rate rises to its full size", within=">= 0")
    final_factor: float = setting(0.0, "factor at the end of linear, cosine and one_cycle", within="[0, 1]")
    step_every: int | None = setting(
        None, "steps between two drops of the step schedule", within=">= 1", example="1000"
    )
    gamma: float = setting(0.1, "what a drop of the step schedule multiplies with", within="(0, 1]")


@dataclass
class TrainerSettings:
    """How long and how to train."""

    max_epochs: int | None = setting(20, "passes over the training data", within=">= 1")
    max_steps: int | None = setting(
        None, "optimiser steps; the first limit reached ends the run", within=">= 1", example="1000"
    )
    max_time: float | str | None = setting(None, "time limit, such as 90s, 10m or 1h30m", example="10m")
    batch_size: int = setting(32, "examples in a batch", within=">= 1")
    accumulate: int = setting(1, "batches whose gradients make one step", within=">= 1")
    clip_norm: float | None = setting(None, "largest norm of the gradient", within="> 0", example="1.0")
    speed: Literal["auto", "off"] = setting("auto", "auto measures threads, layout and precision; off is plain float32")
    preflight: Literal["stop", "warn", "off"] = setting(
        "stop", "look for bugs in a few trial steps first: stop on one that is proven, only warn, or do not look"
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps")
    early_stopping: int | None = setting(
        None, "stop after so many evaluations without progress", within=">= 1", example="5"
    )
    target: str | None = setting(None, "stop when reached, such as val/accuracy>=0.99", example="'val/accuracy>=0.99'")
    monitor: str | None = setting(
        None, "what decides which checkpoint is best; val/loss by default", example="val/accuracy"
    )
    restore_best: bool = setting(False, "judge and export the best weights instead of the last")
    ema_decay: float | None = setting(
        None, "judge an average of the weights with this memory", within="[0, 1)", example="0.999"
    )
    label_smoothing: float = setting(0.0, "share of the target spread over all classes", within="[0, 1)")
    metrics: list[str] | None = setting(
        None, "what is measured beside the loss; by default what the task calls for", example="[accuracy,f1]"
    )
    checkpoint_every: float | str = setting("1m", "time between checkpoints within a long epoch")


@dataclass
class TrackingSettings:
    """Where progress is shown and recorded; metrics.jsonl is always written."""

    console: bool = setting(True, "progress and results in the terminal")
    tensorboard: bool = setting(True, "curves for tensorboard in the run folder")
    histograms: bool = setting(False, "histograms of weights and gradients for tensorboard; costs time")
    mlflow: bool = setting(False, "record the run with MLflow (extra: mlflow)")
    mlflow_uri: str | None = setting(
        None, "where MLflow keeps its runs; the folder ./mlruns by default", example="sqlite:///mlflow.db"
    )
    mlflow_experiment: str = setting("mlkit", "name of the MLflow experiment")
    wandb: Literal["off", "offline", "online"] = setting("off", "record the run with Weights & Biases (extra: wandb)")
    wandb_project: str = setting("mlkit", "name of the Weights & Biases project")


@dataclass
class Config:
    """All settings of a run.

    Example:
        >>> config = Config.from_dict({"model": "lenet", "data": {"name": "digits", "limit": 500}, "seed": 1})
        >>> config.model.name, config.data.limit, config.optimizer.lr
        ('lenet', 500, 0.0003)
    """

    model: Any = field(default_factory=AutoModel, metadata={"help": "the model, by name"})
    data: Any = field(default_factory=DigitsData, metadata={"help": "the data set, by name"})
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings, metadata={"help": "the optimiser"})
    schedule: ScheduleSettings = field(
        default_factory=ScheduleSettings, metadata={"help": "the learning rate over time"}
    )
    trainer: TrainerSettings = field(default_factory=TrainerSettings, metadata={"help": "how long and how to train"})
    tracking: TrackingSettings = field(default_factory=TrackingSettings, metadata={"help": "what is recorded where"})
    seed: int = setting(0, "root of all randomness: weights, splits, order, augmentation", within=">= 0")
    name: str | None = setting(None, "name of the run; MODEL-DATA by default", example="first_try")
    resume: str | None = setting(None, "run folder to continue, bit for bit on a CPU", example="outputs/2026-01-31/run")
    experiment: str | None = setting(None, "settings known to work together, by name", example="lenet_mnist")
    plugins: list[str] = setting([], "your modules to import, only from the command line", example="[my_module]")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """A checked configuration from nested plain values; what is left out has its default.

        Raises:
            ConfigError: with every mistake.
        """
        from mlkit.config.check import checked_config

        return checked_config(values)

    @classmethod
    def from_overrides(cls, overrides: Sequence[str] = ()) -> Config:
        """A checked configuration as the command line would make it, from ``["model=lenet", "trainer.max_epochs=2"]``.

        Raises:
            ConfigError: with every mistake.
        """
        from mlkit.config.compose import config_from_overrides

        return config_from_overrides(overrides)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, ready for YAML and JSON."""
        return {entry.name: plain(getattr(self, entry.name)) for entry in dataclasses.fields(self)}

    @property
    def run_name(self) -> str:
        """The run's name: its own, or model and data."""
        return self.name or f"{self.model.name}-{self.data.name}"


SECTIONS: dict[str, type] = {
    "optimizer": OptimizerSettings,
    "schedule": ScheduleSettings,
    "trainer": TrainerSettings,
    "tracking": TrackingSettings,
}
"""The groups that have one list of settings each; model and data have one for each name (`mlkit.config.choices`)."""
TOP_LEVEL = ("seed", "name", "resume", "experiment", "plugins")


def plain(value: Any) -> Any:
    """Settings as nested plain values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in settings_of(type(value))}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value
