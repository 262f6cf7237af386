"""Rules that involve several settings: combinations that cannot work, found before any data is read.

Not here: the check of a single value (`mlkit.config.settings`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlkit.errors import ConfigError, Problem, did_you_mean

if TYPE_CHECKING:
    from mlkit.config.schema import Config

SPLITS = ("train", "val", "target_val")
TARGET = re.compile(r"\s*([a-z_]+/[\w@]+)\s*(>=|<=)\s*([-+.\deE]+)\s*")
Rule = Callable[["Config"], Iterator[Problem]]


def rule_problems(config: Config) -> list[Problem]:
    """Everything that is wrong with the settings taken together."""
    return [problem for rule in RULES for problem in rule(config)]


def _end(config: Config) -> Iterator[Problem]:
    trainer = config.trainer
    ends = (trainer.max_epochs, trainer.max_steps, trainer.max_time, trainer.early_stopping, trainer.target)
    if all(end is None for end in ends):
        yield Problem(
            "the run would never end",
            received="trainer.max_epochs=null",
            allowed="one of trainer.max_epochs, max_steps, max_time, early_stopping or target",
            todo="for example trainer.max_epochs=20",
        )


def _schedule(config: Config) -> Iterator[Problem]:
    schedule, trainer = config.schedule, config.trainer
    name = schedule.name
    if name in ("linear", "cosine", "one_cycle") and trainer.max_epochs is None and trainer.max_steps is None:
        yield Problem(
            f"schedule={name} needs to know when the run ends",
            received="trainer.max_epochs=null trainer.max_steps=null",
            allowed="a number for one of the two",
            todo="for example trainer.max_epochs=20, or take schedule=constant",
        )
    if name == "step" and schedule.step_every is None:
        yield Problem(
            "schedule=step needs to know when to drop the learning rate",
            received="schedule.step_every=null",
            allowed="a whole number >= 1",
            todo="for example schedule.step_every=1000",
        )
    if name == "step" and schedule.step_every is not None and schedule.warmup_steps > schedule.step_every:
        yield Problem(
            "the learning rate would drop while it is still rising",
            received=f"schedule.warmup_steps={schedule.warmup_steps} schedule.step_every={schedule.step_every}",
            allowed="warmup_steps of at most step_every",
            todo="lower schedule.warmup_steps",
        )
    if trainer.max_steps is not None and schedule.warmup_steps >= trainer.max_steps:
        yield Problem(
            "the warm-up is as long as the run",
            received=f"schedule.warmup_steps={schedule.warmup_steps} trainer.max_steps={trainer.max_steps}",
            allowed="warmup_steps below max_steps",
            todo="lower schedule.warmup_steps",
        )


def _optimizer(config: Config) -> Iterator[Problem]:
    optimizer = config.optimizer
    if optimizer.nesterov and optimizer.name != "sgd":
        yield Problem(
            f"optimizer={optimizer.name} has no Nesterov momentum",
            received=f"optimizer.name={optimizer.name} optimizer.nesterov=true",
            todo="take optimizer=sgd, or leave optimizer.nesterov out",
        )
    elif optimizer.nesterov and optimizer.momentum == 0:
        yield Problem(
            "Nesterov momentum needs momentum",
            received="optimizer.nesterov=true optimizer.momentum=0",
            todo="for example optimizer.momentum=0.9",
        )


def _durations(config: Config) -> Iterator[Problem]:
    for name in ("max_time", "checkpoint_every"):
        value = getattr(config.trainer, name)
        if value is None:
            continue
        from mlkit.engine.stopping import parse_duration

        try:
            parse_duration(value)
        except ConfigError as error:
            first = error.problems[0]
            yield Problem(
                f"trainer.{name} is not a duration", first.received, first.allowed, f"for example trainer.{name}=10m"
            )


def _device(config: Config) -> Iterator[Problem]:
    if config.trainer.device in ("auto", "cpu"):
        return
    from mlkit.runtime.device import resolve_device

    try:
        resolve_device(config.trainer.device)
    except ConfigError as error:
        first = error.problems[0]
        names = ("auto", "cpu", "cuda", "mps")
        close = None if config.trainer.device.partition(":")[0] in names else did_you_mean(config.trainer.device, names)
        todo = close or first.todo or "trainer.device=auto takes the best there is"
        yield Problem(f"trainer.device: {first.what}", first.received, first.allowed, todo)


def _model_fits(config: Config) -> Iterator[Problem]:
    model, inputs = config.model, config.data.inputs
    kind = task_kind(config)
    fits_inputs = not model.inputs or inputs is None or inputs in model.inputs
    fits_task = not model.tasks or kind is None or kind in model.tasks
    if not (fits_inputs and fits_task):
        yield Problem(
            "the model does not fit the data",
            received=f"model={model.name} ({' or '.join(model.inputs)}), "
            f"data={config.data.name} ({inputs}, {kind or 'any task'})",
            allowed=f"models that fit {config.data.name}: {', '.join(fitting_models(config))}",
            todo="model=auto takes the one that the data calls for",
        )
    if getattr(model, "bidirectional", False) and kind == "next_token":
        yield Problem(
            "a bidirectional model would see the token that it predicts",
            received=f"model.bidirectional=true data={config.data.name}",
            todo="leave model.bidirectional out",
        )
    if getattr(model, "pooling", "last") == "mean" and kind == "next_token":
        yield Problem(
            "there is one answer a step, so nothing is pooled",
            received=f"model.pooling=mean data={config.data.name}",
            todo="leave model.pooling out",
        )


def fitting_models(config: Config) -> list[str]:
    """Names of mlkit's models that fit the data."""
    from mlkit.config.choices import MODEL_CHOICES

    inputs, kind = config.data.inputs, task_kind(config)
    return [
        name
        for name, model in MODEL_CHOICES.items()
        if name == "auto" or ((inputs is None or inputs in model.inputs) and (kind is None or kind in model.tasks))  # type: ignore[attr-defined]
    ]


def task_kind(config: Config) -> str | None:
    """The kind of task as far as it is known before the data are read."""
    told = getattr(config.data, "task", None)
    if told in ("classification", "regression"):
        return str(told)
    kind: str | None = config.data.task_kind
    return kind


def _data(config: Config) -> Iterator[Problem]:
    data, kind = config.data, task_kind(config)
    if data.classes is not None and kind in ("regression", "next_token"):
        yield Problem(
            "data.classes is for classification",
            received=f"data={data.name} ({kind})",
            todo="leave data.classes out",
        )
    if data.classes is not None and len(set(data.classes)) < 2:
        yield Problem(
            "classification needs two classes",
            received=f"data.classes={data.classes}",
            allowed="two different classes or more",
            todo="for example data.classes=[0,1]",
        )
    if data.image_size is not None and data.inputs not in ("image", None):
        yield Problem(
            "data.image_size is for images",
            received=f"data={data.name} ({data.inputs})",
            todo="leave data.image_size out",
        )
    held_out = (data.val_fraction or 0.0) + (data.test_fraction or 0.0)
    if held_out >= 1:
        yield Problem(
            "nothing would be left to train on",
            received=f"data.val_fraction={data.val_fraction} data.test_fraction={data.test_fraction}",
            allowed="fractions that add up to less than 1",
            todo="for example data.val_fraction=0.1 data.test_fraction=0.2",
        )
    for name in ("path", "test_path", "root"):
        path = getattr(data, name, None)
        if path is not None and not Path(path).expanduser().exists():
            yield Problem(
                f"data.{name} does not exist",
                received=str(path),
                allowed="a path from the working directory, or an absolute one",
                todo=_similar_file(Path(path).expanduser()),
            )


def _similar_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder} either"
    guess = did_you_mean(path.name, [entry.name for entry in folder.iterdir()])
    return guess or "check the path"


def _augment(config: Config) -> Iterator[Problem]:
    if not config.data.augment:
        return
    from mlkit.config.build import make_augmentation

    try:
        make_augmentation(config)
    except ConfigError as error:
        yield from error.problems


def _loss(config: Config) -> Iterator[Problem]:
    kind = task_kind(config)
    if config.trainer.label_smoothing and kind == "regression":
        yield Problem(
            "label smoothing is for classification",
            received=f"trainer.label_smoothing={config.trainer.label_smoothing} data={config.data.name} (regression)",
            todo="leave trainer.label_smoothing out",
        )


def _watched(config: Config) -> Iterator[Problem]:
    trainer = config.trainer
    if trainer.monitor is not None:
        yield from _watchable("trainer.monitor", trainer.monitor, "for example trainer.monitor=val/accuracy")
    if trainer.target is None:
        return
    example = "for example 'trainer.target=val/accuracy>=0.99'"
    match = TARGET.fullmatch(trainer.target)
    number = None if match is None else _float(match.group(3))
    if match is None or number is None:
        yield Problem(
            "trainer.target cannot be read",
            repr(trainer.target),
            "split/metric>=number or split/metric<=number",
            example,
        )
        return
    yield from _watchable("trainer.target", match.group(1), example)
    from mlkit.metrics.objectives import direction

    try:
        better = direction(match.group(1).partition("/")[2])
    except ConfigError as error:
        yield Problem(
            "trainer.target names no metric that has a direction",
            error.problems[0].received,
            error.problems[0].allowed,
            example,
        )
        return
    if (match.group(2) == ">=") != (better == "max"):
        right = ">=" if better == "max" else "<="
        yield Problem(
            f"trainer.target looks the wrong way: {'higher' if better == 'max' else 'lower'} is better",
            received=repr(trainer.target),
            todo=f"write '{match.group(1)}{right}{match.group(3)}'",
        )


def _watchable(path: str, monitor: str, example: str) -> Iterator[Problem]:
    split, slash, metric = monitor.partition("/")
    if split == "test":
        yield Problem(
            f"{path} cannot use the test part: what decides about a run must not be what judges it",
            received=monitor,
            allowed=f"a split of {', '.join(SPLITS)}",
            todo=f"take val/{metric}",
        )
    elif not slash or not metric or split not in SPLITS:
        yield Problem(
            f"{path} is not a split and a metric",
            received=repr(monitor),
            allowed=f"split/metric with a split of {', '.join(SPLITS)}",
            todo=did_you_mean(split, SPLITS) or example,
        )


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _metrics(config: Config) -> Iterator[Problem]:
    if not config.trainer.metrics:
        return
    from mlkit.config.build import metric_problems

    yield from metric_problems(config.trainer.metrics, task_kind(config))


def _extras(config: Config) -> Iterator[Problem]:
    wanted = {"mlflow": config.tracking.mlflow, "wandb": config.tracking.wandb != "off"}
    for package, on in wanted.items():
        if on and find_spec(package) is None:
            yield Problem(
                f"tracking.{package} needs the package '{package}', which is not installed",
                received=f"tracking.{package}={str(getattr(config.tracking, package)).lower()}",
                todo=f'pip install "mlkit-torch[{package}]"',
            )
    if config.tracking.histograms and not config.tracking.tensorboard:
        yield Problem(
            "histograms are drawn by tensorboard, which is off",
            received="tracking.histograms=true tracking.tensorboard=false",
            todo="leave one of the two out",
        )


def _name(config: Config) -> Iterator[Problem]:
    if config.name is not None and not re.fullmatch(r"[\w.,=+@-]+( [\w.,=+@-]+)*", config.name):
        yield Problem(
            "the name of the run is part of a folder's name",
            received=repr(config.name),
            allowed="letters, digits and - _ . = , + @",
            todo="for example name=first_try",
        )


RULES: tuple[Rule, ...] = (
    _end,
    _schedule,
    _optimizer,
    _durations,
    _device,
    _model_fits,
    _data,
    _augment,
    _loss,
    _watched,
    _metrics,
    _extras,
    _name,
)
