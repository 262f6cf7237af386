"""A run from settings: build, train, and leave a folder that explains itself.

Not here: how the settings are composed (`mlkit.config.compose`) and the command line (`mlkit.config.command`).
"""

from __future__ import annotations

import datetime
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mlkit.config import build, run_folder
from mlkit.config.resume import resumed_config
from mlkit.config.schema import Config
from mlkit.config.show import Header
from mlkit.data.batches import SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.engine.fit import fit, planned_steps
from mlkit.engine.hooks import Hook
from mlkit.engine.result import FitResult, progress_of
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.engine.step import LossFunction
from mlkit.engine.stopping import parse_duration
from mlkit.errors import ConfigError, MlkitError
from mlkit.metrics.losses import loss_for
from mlkit.runtime.device import resolve_device
from mlkit.runtime.files import write_json
from mlkit.runtime.hardware import describe
from mlkit.runtime.nested import dotted


@dataclass(frozen=True)
class RunResult:
    """What came of a run and where it is kept.

    Args:
        folder: the run folder.
        config: the settings.
        data: the data set.
        fit: model, metrics and history.
    """

    folder: Path
    config: Config
    data: DataBundle
    fit: FitResult

    @property
    def status(self) -> str:
        """``"completed"``, ``"stopped"`` (early, for a reason that was asked for) or ``"interrupted"``."""
        return self.fit.state.status

    @property
    def model(self) -> nn.Module:
        """The model that was judged: the averaged one where there is one."""
        return self.fit.state.eval_model

    @property
    def metrics(self) -> dict[str, SplitMetrics]:
        """Split to metric to `Estimate`."""
        return self.fit.metrics

    def __str__(self) -> str:
        return f"{self.fit}\n  {run_folder.shown(self.folder)}"

    def _repr_html_(self) -> str:
        return f"{self.fit._repr_html_()}<p><code>{run_folder.shown(self.folder)}</code></p>"


def run(
    config: Config | Mapping[str, Any] | None = None,
    *,
    folder: Path | str | None = None,
    hooks: Sequence[Hook] = (),
    command: Sequence[str] | None = None,
) -> RunResult:
    """Train as the settings say; what ``python -m mlkit.train`` does.

    Args:
        config: the settings; a mapping is checked first; None is the default run.
        folder: the run folder; ``outputs/DATE/TIME-NAME`` when left out. With ``config.resume`` it is that folder.
        hooks: yours, beside those that the settings ask for.
        command: how the run was started, for its record.

    Returns:
        The trained model, its metrics, and the folder.

    Raises:
        ConfigError: settings that cannot be right, all of them together.
        MlkitError: data, model or checkpoint that do not fit; the folder says what happened.

    >>> import tempfile
    >>> config = Config.from_overrides(["data=blobs", "trainer.max_epochs=3", "tracking=none"])
    >>> result = run(config, folder=tempfile.mkdtemp() + "/first")
    >>> result.status, sorted(result.metrics)
    ('completed', ['test', 'train', 'val'])
    """
    config = _settled(config.to_dict() if isinstance(config, Config) else config or {})
    resumed = config.resume is not None
    if resumed:
        place = Path(str(config.resume)).expanduser().absolute()
    else:
        place = run_folder.claim(folder or run_folder.default_folder(config.run_name), config)
    with run_folder.locked(place):
        if resumed:
            run_folder.write_config(place, config)
        return _train(config, place, hooks, command if command is not None else sys.argv, resumed=resumed)


def _settled(values: Mapping[str, Any]) -> Config:
    """The settings checked; those of a run to resume come from its folder."""
    if values.get("resume") is None:
        return Config.from_dict(values)
    changes = {name: value for name, value in dotted(values).items() if name != "resume"}
    config, problems = resumed_config(str(values["resume"]), changes)
    if problems:
        raise ConfigError(problems)
    return config


def _train(config: Config, place: Path, hooks: Sequence[Hook], command: Sequence[str], *, resumed: bool) -> RunResult:
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    watch = _Watch()
    try:
        data = build.make_data(config)
        model = build.make_model(config, data.task)
        about = {"command": list(command), "started": started, "working_directory": os.getcwd(), **_about(config, data)}
        notes = _Notes(place, about, resumed=resumed)
        own = [watch, notes, *([Header(config, data, model, place)] if config.tracking.console else [])]
        result = _fit(config, data, model, [*own, *hooks], place, resumed=resumed)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        _write_result(place, config, {**watch.so_far(), "status": status, "error": run_folder.error_entry(error)})
        if isinstance(error, MlkitError):
            error.folder = place
        raise
    _write_result(
        place, config, {**result.to_dict(), "fingerprint": result.fingerprint, "speed": result.speed.to_dict()}
    )
    return RunResult(place, config, data, result)


def _fit(
    config: Config,
    data: DataBundle,
    model: nn.Module,
    hooks: Sequence[Hook],
    place: Path,
    *,
    resumed: bool,
) -> FitResult:
    trainer = config.trainer
    goes_on = resumed and run_folder.has_checkpoint(place)
    if resumed and not goes_on:
        warnings.warn("the run was stopped before its first checkpoint; it starts from the beginning", stacklevel=4)
    loss_fn = loss_for(data.task, label_smoothing=trainer.label_smoothing)
    if trainer.preflight != "off" and not goes_on:
        _preflight(config, data, model, loss_fn)
    device = resolve_device(trainer.device)
    model.to(device)  # before the optimiser, which looks at where the parameters are
    total = planned_steps(
        len(SplitBatches(data.train, trainer.batch_size, shuffle=True)),
        max_epochs=trainer.max_epochs,
        max_steps=trainer.max_steps,
        accumulate=trainer.accumulate,
    )
    result = fit(
        model,
        data,
        loss_fn=loss_fn,
        optimizer=build.make_optimizer(config, model),
        schedule=build.make_schedule(config, total),
        max_epochs=trainer.max_epochs,
        max_steps=trainer.max_steps,
        batch_size=trainer.batch_size,
        accumulate=trainer.accumulate,
        clip_norm=trainer.clip_norm,
        metrics=build.make_metrics(config, data.task),
        monitor=trainer.monitor,
        restore_best=trainer.restore_best,
        augment=build.make_augmentation(config, data.task),
        hooks=[*build.make_hooks(config), *hooks, *_trackers(config, place, data)],
        speed=trainer.speed,
        seed=config.seed,
        device=str(device),
        folder=place,
        save_every=parse_duration(trainer.checkpoint_every),
        resume=goes_on,
    )
    run_folder.export_weights(place, result.state.eval_model, {"model": model_name(config, data), "format": "pt"})
    _draw(result, place)
    return result


def _preflight(config: Config, data: DataBundle, model: nn.Module, loss_fn: LossFunction) -> None:
    from mlkit.config.preflight import preflight

    augment = build.make_augmentation(config, data.task)
    batches = SplitBatches(data.train, config.trainer.batch_size, shuffle=True, seed=config.seed, augment=augment)
    optimizer = build.make_optimizer(config, model)
    preflight(model, batches, loss_fn=loss_fn, optimizer=optimizer, stops=config.trainer.preflight == "stop")


def model_name(config: Config, data: DataBundle) -> str:
    """The model that was trained, where ``auto`` was asked for the one that it chose."""
    from mlkit.models.auto import choose

    return choose(data.task) if config.model.name == "auto" else str(config.model.name)


class _Watch(Hook):
    """Keeps hold of the state, so that a run that fails can say how far it came."""

    def __init__(self) -> None:
        self.state: TrainState | None = None

    def on_fit_start(self, state: TrainState) -> None:
        self.state = state

    def so_far(self) -> dict[str, Any]:
        return progress_of(self.state) if self.state is not None else {"epochs": 0, "steps": 0, "splits": {}}


class _Notes(Hook):
    """Writes ``run.json`` when the speed is settled."""

    def __init__(self, place: Path, about: dict[str, Any], *, resumed: bool) -> None:
        self.place, self.about, self.resumed = place, about, resumed

    def on_fit_start(self, state: TrainState) -> None:
        about = {**self.about, "from_step": state.step, "speed": state.about.get("speed")}
        run_folder.write_run(self.place, about, resumed=self.resumed)


def _about(config: Config, data: DataBundle) -> dict[str, Any]:
    return {
        "name": config.run_name,
        "model": model_name(config, data),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "task": data.task.kind,
            "sizes": {name: len(split) for name, split in data.splits()},
            "notes": dict(data.notes),
        },
        "seed": config.seed,
        **describe(folder=Path.cwd()),
    }


def _trackers(config: Config, place: Path, data: DataBundle) -> list[Hook]:
    """Progress and records, as the settings ask; the console last, so that what others warn of stands above it."""
    from mlkit.tracking import MetricsFile

    tracking, trackers = config.tracking, list[Hook]()
    trackers.append(MetricsFile(place / "metrics.jsonl"))
    settings = config.to_dict()
    if tracking.tensorboard:
        from mlkit.tracking import TensorBoard

        trackers.append(TensorBoard(place, histograms=tracking.histograms, hparams=_named(settings)))
    if tracking.mlflow:
        from mlkit.tracking import MLflow

        tags = {"data.fingerprint": data.fingerprint, "run_folder": str(place)}
        experiment = tracking.mlflow_experiment
        trackers.append(
            MLflow(tracking.mlflow_uri, experiment, run_name=config.run_name, params=_named(settings), tags=tags)
        )
    if tracking.wandb != "off":
        from mlkit.tracking import WandB

        trackers.append(
            WandB(tracking.wandb_project, name=config.run_name, config=settings, mode=tracking.wandb, folder=place)
        )
    if tracking.console:
        from mlkit.tracking import Console

        trackers.append(Console())
    return trackers


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name; what was left alone (null) is left out."""
    return {name: value for name, value in dotted(settings).items() if value is not None}


def _write_result(place: Path, config: Config, facts: Mapping[str, Any]) -> None:
    """``result.json``; of a run that failed, as far as it came."""
    whole = {"name": config.run_name, "data": config.data.name, "seed": config.seed, **facts}
    try:
        write_json(place / "result.json", whole)
    except OSError as error:
        warnings.warn(f"result.json could not be written: {error}", stacklevel=2)


def _draw(result: FitResult, place: Path) -> None:
    """The picture of the run; a failure to draw is no failure to train."""
    if all(line.get("final") for line in result.history):  # stopped before the first epoch was over
        return
    from mlkit.report import save_curves

    _attempt(lambda: save_curves(result.history, place / "curves.png"), "the picture could not be drawn")


def _attempt(action: Callable[[], object], what: str) -> None:
    try:
        action()
    except Exception as error:  # whatever a plotting library may raise
        warnings.warn(f"{what}: {type(error).__name__}: {error}", stacklevel=3)
