"""The debugging of a run in three steps: get it to run, overfit one batch, prove the cause; kept as JSON and a page.

Not here: the command line (`mlkit.config.debugging.command`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from mlkit.config import build
from mlkit.config.apart import read_value
from mlkit.config.choices import settings_class
from mlkit.config.debugging.settings import DebugSettings
from mlkit.config.debugging.variants import variants
from mlkit.config.run_folder import shown
from mlkit.config.schema import SECTIONS, Config
from mlkit.data.bundle import DataBundle
from mlkit.debug.first_step import FirstStep, first_step
from mlkit.debug.memory import MemoryEstimate, estimate_memory
from mlkit.debug.overfit.cause import CauseReport
from mlkit.debug.overfit.choose import batch_of
from mlkit.debug.overfit.prove import prove
from mlkit.errors import MlkitError
from mlkit.metrics.losses import loss_for
from mlkit.models.auto import choose
from mlkit.report.page import page, section
from mlkit.runtime.files import write_json, write_text


@dataclass(frozen=True)
class Debugged:
    """What debugging showed.

    Args:
        config: the settings that were looked at, its model by name.
        step: one step in slow motion.
        memory: what a step on a batch of the run takes; None where it could not be predicted.
        cause: the verdict on one batch and what cures; None where not even a step could be made.
    """

    config: Config
    step: FirstStep
    memory: MemoryEstimate | None
    cause: CauseReport | None

    @property
    def is_fine(self) -> bool:
        """Whether the batch is fitted."""
        return self.cause is not None and self.cause.is_fine

    @property
    def override(self) -> str | None:
        """The cure as settings; None where there is none, or it is a change of code."""
        cure = None if self.cause is None else self.cause.cure
        return None if cure is None else cure.change.override

    def cured(self) -> Config | None:
        """The settings with the cure in them."""
        return None if self.override is None else with_overrides(self.config, self.override.split())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "fine": self.is_fine,
            "first_step": self.step.to_dict(),
            "memory": None if self.memory is None else self.memory.to_dict(),
            "cause": None if self.cause is None else self.cause.to_dict(),
            "override": self.override,
            "config": self.config.to_dict(),
        }

    def sections(self) -> list[str]:
        """The parts of the page as HTML."""
        parts = [section("Get it to run", self.step._repr_html_())]
        if self.memory is not None:
            parts.append(section("What a step takes", self.memory._repr_html_()))
        if self.cause is not None:
            parts.append(section("Overfit one batch, and prove the cause", self.cause._repr_html_()))
        return parts

    def _repr_html_(self) -> str:
        return "".join(self.sections())


def debug(
    config: Config,
    settings: DebugSettings | None = None,
    *,
    on_step: Callable[[DataBundle, FirstStep, MemoryEstimate | None], None] | None = None,
) -> Debugged:
    """Look at a run before it is trained; nothing is written.

    Args:
        config: of the run.
        settings: how long to look.
        on_step: called when the first step was made, or broke, with what a step takes.

    Raises:
        MlkitError: data or model that do not fit.
    """
    settings = settings or DebugSettings()
    data = build.make_data(config)
    config = _settled(config, data)
    model = build.make_model(config, data.task)
    loss_fn = loss_for(data.task, label_smoothing=config.trainer.label_smoothing)
    batch, _ = batch_of(data, seed=config.seed, examples=settings.examples)

    def optimizer(twin: nn.Module) -> Any:
        return build.make_optimizer(config, twin)

    step = first_step(model, batch, loss_fn, optimizer, seed=config.seed)
    memory: MemoryEstimate | None = None
    if step.is_fine and settings.memory:
        with contextlib.suppress(MlkitError):  # a model that looks at values; the batch below tells more of it
            size = config.trainer.batch_size
            memory = estimate_memory(model, batch, loss_fn, optimizer, batch_size=size)
    if on_step is not None:
        on_step(data, step, memory)
    if not step.is_fine:
        return Debugged(config, step, None, None)
    cause = prove(
        model,
        batch,
        loss_fn,
        optimizer,
        steps=settings.steps,
        seed=config.seed,
        seconds=settings.seconds,
        clip_norm=config.trainer.clip_norm,
        more=variants(config, data),
    )
    return Debugged(config, step, memory, cause)


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """A configuration with some settings changed, ``NAME=VALUE`` each; another model has that model's own defaults."""
    values = config.to_dict()
    for override in overrides:
        name, _, text = override.partition("=")
        value = read_value(text)
        if name in ("model", "data"):
            values[name] = {"name": value}
            continue
        if name in SECTIONS:
            values[name]["name"] = value
            continue
        *groups, last = name.split(".")
        place = values
        for group in groups:
            place = place[group]
        place[last] = value
    return Config.from_dict(values)


def write(debugged: Debugged, folder: Path, *, apply: bool) -> Path:
    """Write ``debug.json``, ``debug.html`` and, if asked and there is one, ``cured.yaml``; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "debug.json", debugged.to_dict())
    target = folder / "debug.html"
    write_text(target, page(f"{debugged.config.run_name} before training: {shown(folder)}", debugged.sections()))
    cured = debugged.cured() if apply else None
    if cured is not None:
        head = f"# {debugged.config.run_name} with {debugged.override}, see debug.json beside it.\n"
        write_text(folder / "cured.yaml", head + yaml.safe_dump(cured.to_dict(), sort_keys=False, allow_unicode=True))
    return target


def _settled(config: Config, data: DataBundle) -> Config:
    """The configuration with the model that ``auto`` stands for, by name."""
    if config.model.name != "auto":
        return config
    chosen = choose(data.task)
    return dataclasses.replace(config, model=settings_class("model", chosen)(name=chosen))
