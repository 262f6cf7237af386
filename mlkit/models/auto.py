"""From a task to a model: which model to start with, and a factory called with what it asks of the task.

Not here: the factories, and settings from files (`mlkit.config`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from mlkit.errors import ConfigError, ModelError, Problem, did_you_mean
from mlkit.models.init import seeded
from mlkit.registry import MODELS
from mlkit.task import InputKind, Task, TaskKind

# What a factory may ask of the task, and where in the task it comes from.
FACTS: Mapping[str, str] = {
    "task": "the whole `Task`",
    "kind": "classification, regression or next_token",
    "num_outputs": "classes, target columns or vocabulary size",
    "num_classes": "the same under the name that image models use",
    "input_shape": "shape of one example",
    "in_features": "numbers in one example of fixed size, all axes together",
    "in_channels": "channels of an image",
    "image_size": "pixels a side, or (height, width) where they differ",
    "input_size": "values in one step of a series",
    "vocab_size": "distinct input tokens",
    "cardinalities": "distinct values of each categorical column",
    "has_lengths": "whether the last input holds the lengths of padded examples",
}

_ONCE: tuple[TaskKind, ...] = ("classification", "regression")
_IMAGE: tuple[InputKind, ...] = ("image",)
_FITS: dict[str, tuple[tuple[InputKind, ...], tuple[TaskKind, ...]]] = {
    "mlp": (("vector", "table", "image", "series", "other"), _ONCE),
    "lstm": (("series", "tokens"), (*_ONCE, "next_token")),
    **dict.fromkeys(("lenet", *(f"resnet{d}" for d in (18, 20, 32, 34, 44, 50, 56, 110))), (_IMAGE, _ONCE)),
}


def choose(task: Task) -> str:
    """The model to start with: ``"lenet"`` for images, ``"lstm"`` for series and tokens, else ``"mlp"``.

    The simplest model of the right family. For images the next step is ``"resnet20"`` (small) or ``"resnet18"``.

    >>> choose(Task("classification", "image", (1, 8, 8), num_outputs=10))
    'lenet'
    >>> choose(Task("regression", "table", (8,), num_outputs=1))
    'mlp'
    """
    if task.input_kind == "image":
        return "lenet"
    return "lstm" if task.input_kind in ("series", "tokens") else "mlp"


def build(name: str, task: Task, *, seed: int | None = None, **options: object) -> nn.Module:
    """The model ``name`` for ``task``: its factory is called with those of `FACTS` that its signature names.

    Args:
        name: a name in `mlkit.registry.MODELS`, ours or registered by the user; ``"auto"`` asks `choose`.
        task: what is known of the data.
        seed: key of the initial weights, which also holds for factories without a ``seed`` of their own; None draws
            from torch's global generator.
        options: the factory's own settings; `model_options` lists them.

    Raises:
        ConfigError: no such model, unknown or missing options, or options that the factory refuses.
        ModelError: the model does not fit the task, or what the factory returns is no model.

    >>> digits = Task("classification", "image", (1, 8, 8), num_outputs=10)
    >>> model = build("lenet", digits, seed=0, width=2)
    >>> model.input_shape, model.head.out_features
    ((1, 8, 8), 10)
    """
    if name == "auto":
        name = choose(task)
    factory = MODELS.get(name)
    _refuse_misfit(name, task)
    parameters = _parameters(name)
    known = facts(task)
    _refuse_options(name, options)
    arguments: dict[str, Any] = {key: known[key] for key in parameters if key in known}
    arguments.update(options)
    if "seed" in parameters:
        arguments["seed"] = seed
    _refuse_missing(name, task, arguments)

    def make() -> nn.Module:
        model = factory(**arguments)
        if isinstance(model, nn.Module):
            return model
        raise ModelError(
            f"the factory of '{name}' made no model", received=type(model).__name__, allowed="a torch.nn.Module"
        )

    return make() if "seed" in parameters else seeded(make, seed=seed)


def facts(task: Task) -> dict[str, Any]:
    """Those of `FACTS` that ``task`` has: a table has no ``in_channels``, padded series have no ``in_features``."""
    known: dict[str, Any] = {
        "task": task,
        "kind": task.kind,
        "num_outputs": task.num_outputs,
        "num_classes": task.num_outputs,
        "input_shape": task.input_shape,
        "cardinalities": task.cardinalities,
        "has_lengths": task.has_lengths,
    }
    if task.vocab_size is not None:
        known["vocab_size"] = task.vocab_size
    if task.input_kind != "tokens" and not task.has_lengths:
        known["in_features"] = math.prod(task.input_shape)
    if task.input_kind == "image":
        channels, height, width = task.input_shape
        known |= {"in_channels": channels, "image_size": height if height == width else (height, width)}
    if task.input_kind in ("series", "tokens"):
        known["input_size"] = task.input_shape[-1] if task.input_kind == "series" else None
    return known


def model_options(name: str) -> dict[str, inspect.Parameter]:
    """The settings of the model ``name``, by name: what its factory takes beside the facts of the task and the seed.

    Raises:
        ConfigError: there is no such model.

    >>> {key: option.default for key, option in model_options("lenet").items()}
    {'width': 1.0, 'activation': 'relu', 'dropout': 0.0}
    """
    return {
        key: parameter
        for key, parameter in _parameters(name).items()
        if key not in FACTS and key != "seed" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(MODELS.get(name)).parameters
    return {key: p for key, p in parameters.items() if p.kind is not inspect.Parameter.VAR_POSITIONAL}


def _refuse_options(name: str, options: Mapping[str, object]) -> None:
    allowed = model_options(name)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in _parameters(name).values())
    listed = ", ".join(allowed) or "none"
    problems = []
    for option in options:
        if option in FACTS:
            todo = f"leave it out: it is {FACTS[option]}, and the data decide it"
            problems.append(Problem(f"'{option}' is not an option of a model", received=option, todo=todo))
        elif option not in allowed and not takes_any:
            todo = did_you_mean(option, allowed) or "choose one of these, or leave it out"
            problems.append(
                Problem(f"unknown option of the model '{name}'", received=option, allowed=listed, todo=todo)
            )
    if problems:
        raise ConfigError(problems)


def _refuse_missing(name: str, task: Task, arguments: Mapping[str, object]) -> None:
    required = [
        key
        for key, p in _parameters(name).items()
        if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD and key not in arguments
    ]
    absent = [key for key in required if key in FACTS]
    if absent:
        raise ModelError(
            f"the model '{name}' does not fit the data",
            received=_describe(task),
            allowed="data with " + ", ".join(f"{key} ({FACTS[key]})" for key in absent),
            todo=f"choose a model that fits, such as '{choose(task)}'",
        )
    if required:
        raise ConfigError(
            f"the model '{name}' needs settings that have no default",
            received=", ".join(arguments),
            allowed=", ".join(required),
            todo=f"give {', '.join(required)}",
        )


def _refuse_misfit(name: str, task: Task) -> None:
    if name not in _FITS or _fits(name, task):
        return
    inputs, kinds = _FITS[name]
    fitting = [other for other in _FITS if _fits(other, task)]
    raise ModelError(
        f"the model '{name}' does not fit the data",
        received=_describe(task),
        allowed=f"{name} takes {' or '.join(inputs)} for {' or '.join(kinds)}",
        todo=f"choose one that fits: {', '.join(fitting)}; or register your own" if fitting else "register your own",
    )


def _fits(name: str, task: Task) -> bool:
    inputs, kinds = _FITS[name]
    flattens_padding = name == "mlp" and task.has_lengths
    return task.input_kind in inputs and task.kind in kinds and not flattens_padding


def _describe(task: Task) -> str:
    lengths = " with lengths" if task.has_lengths else ""
    return f"{task.input_kind} {tuple(task.input_shape)}{lengths} for {task.kind}"
