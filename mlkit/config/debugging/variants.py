"""Changes to a run's settings that are tried when it does not fit one batch: wider, deeper, another activation.

Not here: changes to a model whose settings nobody knows (`mlkit.debug.overfit.changes`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from mlkit.config import build
from mlkit.config.schema import Config
from mlkit.config.settings import shown
from mlkit.data.bundle import DataBundle
from mlkit.debug.overfit.changes import Change
from mlkit.debug.overfit.course import Setup
from mlkit.debug.overfit.edits import Edit
from mlkit.metrics.losses import loss_for

_DEEPER = {"resnet18": "resnet34", "resnet34": "resnet50", "resnet20": "resnet32", "resnet32": "resnet56"}
_STRUCTURE = 7
_SWITCH = 2


def variants(config: Config, data: DataBundle) -> list[Change]:
    """What can be changed in the settings of a run, smallest first; what the model has no setting for is left out.

    Args:
        config: of the run; its model by name, not ``auto``.
        data: its data, which the models are built for.
    """
    return list(_switches(config, data)) + list(_structure(config, data))


def _switches(config: Config, data: DataBundle) -> Iterator[Change]:
    if config.trainer.label_smoothing:
        plain = loss_for(data.task)
        yield Change(
            "no label smoothing",
            _SWITCH,
            f"label smoothing, {config.trainer.label_smoothing:g}, keeps the loss high",
            "label_smoothing=0",
            lambda setup: dataclasses.replace(setup.copied(), loss_fn=plain),
            override="trainer.label_smoothing=0",
        )
    model = config.model
    if getattr(model, "activation", "relu") != "relu":
        yield _change(
            "the activation ReLU", f"the activation is {model.activation}", "activation", "relu", config, data
        )
    if getattr(model, "normalization", "batch") == "none":
        yield _change(
            "batch normalisation",
            "nothing keeps values in scale between layers",
            "normalization",
            "batch",
            config,
            data,
        )


def _structure(config: Config, data: DataBundle) -> Iterator[Change]:
    model, small = config.model, "the model is too small for the batch"
    hidden = getattr(model, "hidden", None)
    if isinstance(hidden, tuple):
        wide = tuple(max(4 * units, 64) for units in hidden) or (64,)
        yield _change("wider: four times the units", small, "hidden", wide, config, data)
        yield _change("deeper: a layer more", small, "hidden", (*hidden, hidden[-1] if hidden else 64), config, data)
    elif isinstance(hidden, int):
        yield _change("wider: four times the units", small, "hidden", max(4 * hidden, 32), config, data)
        yield _change("deeper: a layer more", small, "layers", model.layers + 1, config, data)
    if hasattr(model, "width"):
        yield _change("wider: four times the width", small, "width", 4 * model.width, config, data)
    deeper = _DEEPER.get(str(model.name))
    if deeper is not None:
        yield Change(
            f"deeper: {deeper}",
            _STRUCTURE,
            small,
            f"model={deeper}",
            _rebuilt(config, data, name=deeper),
            override=f"model={deeper}",
        )


def _change(name: str, cause: str, setting: str, value: object, config: Config, data: DataBundle) -> Change:
    fix = f"model.{setting}={shown(value).replace(' ', '')}"
    return Change(name, _STRUCTURE, cause, fix, _rebuilt(config, data, **{setting: value}), override=fix)


def _rebuilt(config: Config, data: DataBundle, **changes: Any) -> Edit:
    """The setup with the model that the changed settings give, and its optimiser."""

    def edit(setup: Setup) -> Setup:
        other = dataclasses.replace(config, model=dataclasses.replace(config.model, **changes))
        model = build.make_model(other, data.task)
        device = next((parameter.device for parameter in setup.model.parameters()), None)
        model = model if device is None else model.to(device)
        return dataclasses.replace(setup.copied(), model=model, optimizer=build.make_optimizer(other, model))

    return edit
