"""`fit`: from a model and data, as a user has them, to a trained model and a result with intervals.

Not here: the loop itself (`mlkit.engine.loop`) and settings from files (`mlkit.config`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mlkit.data.batches import Augment, Batches, SplitBatches
from mlkit.engine import checkpoint
from mlkit.engine.best import Best
from mlkit.engine.checkpoint import Checkpoints
from mlkit.engine.evaluation import evaluate_model
from mlkit.engine.hooks import Hook, listeners
from mlkit.engine.inputs import HeldOut, TrainingData, fingerprint_of, named_batches, sample_of
from mlkit.engine.interruption import stop_after_step
from mlkit.engine.loop import Plan, record, train
from mlkit.engine.nonfinite import is_finite
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.result import FitResult
from mlkit.engine.schedules import Schedule, ScheduleName, make_schedule
from mlkit.engine.speed import applied, prepare_model
from mlkit.engine.speed_choice import SpeedWish, settle_speed, step_at
from mlkit.engine.state import SplitMetrics, Status, TrainState
from mlkit.engine.step import LossFunction, StepFunction
from mlkit.errors import CheckpointError, ConfigError, NonFiniteLossError
from mlkit.metrics import for_task
from mlkit.metrics.losses import loss_for
from mlkit.metrics.streaming import StreamingMetric
from mlkit.runtime import rng
from mlkit.runtime.device import resolve_device
from mlkit.runtime.keys import derive_seed
from mlkit.runtime.precision import autocast

Judge = Callable[[nn.Module, Batches], SplitMetrics]


def fit(
    model: nn.Module,
    data: TrainingData,
    *,
    val: HeldOut | None = None,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Schedule | ScheduleName | None = None,
    max_epochs: int | None = 10,
    max_steps: int | None = None,
    batch_size: int = 32,
    accumulate: int = 1,
    clip_norm: float | None = None,
    metrics: Sequence[StreamingMetric] | None = None,
    monitor: str | None = None,
    restore_best: bool = False,
    augment: Augment | None = None,
    hooks: Sequence[Hook] = (),
    step: StepFunction | None = None,
    speed: SpeedWish = "off",
    seed: int = 0,
    device: str = "auto",
    folder: Path | str | None = None,
    save_every: float = 60.0,
    resume: bool = False,
) -> FitResult:
    """Train ``model`` on ``data``.

    Args:
        model: any module; it is trained in place and moved to ``device``.
        data: a `DataBundle`, ``(x, y)`` tensors or arrays, a ``Dataset``, a ``DataLoader``, or anything that has the
            methods of `Batches`.
        val: held-out data; for a bundle its own. Without any, only the training data are evaluated.
        loss_fn: ``loss_fn(output, targets) -> scalar``; by default what the task calls for.
        optimizer: over the model's parameters; by default Adam with learning rate 3e-4.
        schedule: factor on the learning rate: a function of the steps done, or a name that `make_schedule` knows.
        max_epochs: passes over the data; more trains longer. None leaves the end to ``max_steps`` or a hook.
        max_steps: optimiser steps in all; whichever of the two comes first ends the run.
        batch_size: examples in a batch; a DataLoader keeps its own.
        accumulate: batches whose gradients make one optimiser step, exact for ragged windows.
        clip_norm: largest 2-norm of the gradient.
        metrics: streaming metrics; by default what the task calls for.
        monitor: ``"split/metric"`` that decides which checkpoint is the best; by default the loss on ``val``.
        restore_best: at the end put the best weights into the model, before the final evaluation; else the last stay.
        augment: changes training batches at random.
        hooks: look on or step in; see `Hook`.
        step: replaces the computation of a batch's loss: ``step(model, batch) -> scalar``.
        speed: ``"auto"`` measures threads, layout and precision first; ``"off"`` is float32 with PyTorch's threads. A
            ``step`` of your own is carried out as it is.
        seed: root of the order of examples, of augmentation and of dropout.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        folder: run folder for checkpoints; None keeps nothing on disk.
        save_every: seconds between checkpoints inside a long epoch.
        resume: go on from the newest whole checkpoint in ``folder``, bit for bit on a CPU.

    Returns:
        The trained model, its history, and the metrics of every split with intervals.

    Raises:
        MlkitError: data, model or settings that do not fit, in four parts.
        NonFiniteLossError: the loss became NaN or infinite.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> result = fit(nn.Linear(2, 2), (x, (x[:, 0] > 0).long()), max_epochs=50, optimizer=None, device="cpu")
    >>> result.state.step, sorted(result.metrics["train"])
    (350, ['accuracy', 'auc', 'f1', 'loss'])
    """
    where = resolve_device(device)
    model.to(where)
    training, judged, task = named_batches(data, val, batch_size=batch_size, seed=seed, device=where, augment=augment)
    loss = loss_fn if loss_fn is not None else loss_for(task)
    measured = list(metrics) if metrics is not None else for_task(task)
    judge = partial(evaluate_model, metrics=measured, loss_fn=loss)
    state = TrainState(model, optimizer if optimizer is not None else make_optimizer(model))
    planned = planned_steps(len(training), max_epochs=max_epochs, max_steps=max_steps, accumulate=accumulate)
    state.batches_per_epoch, state.max_epochs, state.max_steps = len(training), max_epochs, planned
    watched = _after_each_epoch(judged, seed=seed)
    best = Best(_monitored(monitor, watched), metrics=measured, keep=restore_best)
    about: dict[str, Any] = {
        "fingerprint": fingerprint_of(data),
        "device": where.type,
        "batches_per_epoch": len(training),
    }
    with rng.preserved():
        rng.seed_everything(derive_seed(seed, "fit"))
        before = _resumed(state, folder, about) if resume else {}
        same_kind = before.get("device") == where.type
        chosen = settle_speed(
            speed if step is None else "off",
            before.get("speed") if same_kind else None,
            model=model,
            optimizer=state.optimizer,
            loss_fn=loss,
            batches=training,
            device=where,
            expected_steps=planned,
        )
        plan = Plan(
            training,
            step if step is not None else step_at(chosen, model, loss, where),
            max_epochs=max_epochs,
            max_steps=max_steps,
            accumulate=accumulate,
            clip_norm=clip_norm,
            schedule=make_schedule(schedule, total_steps=planned) if isinstance(schedule, str) else schedule,
            evaluate=partial(
                _judge_epoch,
                judge=partial(judge, precision=partial(autocast, chosen.precision, where)),
                splits=watched,
            ),
            saver=_saver(folder, save_every),
        )
        state.about = {**about, "speed": chosen.to_dict()}
        with applied(chosen):
            restore_layout = prepare_model(model, chosen, optimizer=state.optimizer)
            finish = partial(_finish, judge=judge, splits=judged, best=best if restore_best else None, folder=folder)
            _run(state, plan, [best, *hooks], finish)
            restore_layout()
    return FitResult(model, state.metrics, state.history, state, chosen, about["fingerprint"])


def planned_steps(
    batches: int, *, max_epochs: int | None, max_steps: int | None = None, accumulate: int = 1
) -> int | None:
    """Optimiser steps that a run of ``batches`` an epoch amounts to when nothing ends it early; None: no end is known.

    >>> planned_steps(10, max_epochs=3, accumulate=4)
    9
    """
    by_epochs = None if max_epochs is None else max_epochs * math.ceil(batches / accumulate)
    return min((steps for steps in (by_epochs, max_steps) if steps is not None), default=None)


def _saver(folder: Path | str | None, every: float) -> Checkpoints | None:
    return None if folder is None else Checkpoints(Path(folder) / "checkpoints", rng.capture, every_seconds=every)


def _resumed(state: TrainState, folder: Path | str | None, about: Mapping[str, Any]) -> dict[str, Any]:
    """Put the newest whole checkpoint into ``state``; what it says about its run."""
    if folder is None:
        raise ConfigError("resume needs the folder of the run", received="folder=None", todo="pass folder=")
    content, _, damaged = checkpoint.load_newest(Path(folder) / "checkpoints")
    if damaged is not None:
        warnings.warn(f"the newest checkpoint was passed over:\n{damaged}", stacklevel=3)
    before: dict[str, Any] = content.get("about", {})
    _check_same_data(before, about)
    checkpoint.restore(state, content)
    if "rng" in content:
        rng.restore(content["rng"])
    return before


def _check_same_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other data or other batches than those of the checkpoint.

    Raises:
        CheckpointError: the order of examples would not go on where it stopped.
    """
    if None not in (before.get("fingerprint"), now["fingerprint"]) and before["fingerprint"] != now["fingerprint"]:
        raise CheckpointError(
            "the data are not those of the run to resume",
            received=f"fingerprint {now['fingerprint']}",
            allowed=f"fingerprint {before['fingerprint']}, as in the checkpoint",
            todo="put the data back as they were, or start a new run",
        )
    if before.get("batches_per_epoch", now["batches_per_epoch"]) != now["batches_per_epoch"]:
        raise CheckpointError(
            "an epoch is cut into other batches than in the run to resume",
            received=f"{now['batches_per_epoch']} batches an epoch",
            allowed=f"{before['batches_per_epoch']}, as in the checkpoint",
            todo="use the same batch_size and the same data, or start a new run",
        )


def _after_each_epoch(splits: Mapping[str, Batches], *, seed: int) -> dict[str, Batches]:
    """A sample of ``train`` and all of ``val`` and ``target_val``, judged alike, so that they can be compared.

    A loader of the user's can only be read whole, which costs as much as an epoch: where there is a ``val``, that is
    left to the end of the run.
    """
    chosen = {name: splits[name] for name in ("train", "val", "target_val") if name in splits}
    if "val" in chosen and not isinstance(chosen["train"], SplitBatches):
        del chosen["train"]
    if "train" in chosen:
        chosen["train"] = sample_of(chosen["train"], seed=seed)
    return chosen


def _monitored(monitor: str | None, watched: Mapping[str, Batches]) -> str:
    """What decides which weights are the best.

    Raises:
        ConfigError: a split that is not evaluated after each epoch.
    """
    if monitor is None:
        return "val/loss" if "val" in watched else "train/loss"
    split = monitor.partition("/")[0]
    if split not in watched:
        raise ConfigError(
            "the metric to watch is of a split that is not evaluated after each epoch",
            received=repr(monitor),
            allowed=f"a split of {', '.join(watched)}",
            todo=f"for example {next(iter(watched))}/{monitor.partition('/')[2] or 'loss'}",
        )
    return monitor


def _judge_epoch(state: TrainState, *, judge: Judge, splits: Mapping[str, Batches]) -> dict[str, SplitMetrics]:
    return {name: judge(state.eval_model, batches) for name, batches in splits.items()}


def _run(state: TrainState, plan: Plan, hooks: Sequence[Hook], finish: Callable[[TrainState], None]) -> None:
    """Train, save what was trained, judge it, and tell the hooks how it ended, whatever happens."""
    error: BaseException | None = None
    try:
        for start in listeners(hooks, "on_fit_start"):
            start(state)
        with stop_after_step(state):
            train(state, plan, hooks=hooks)
        state.status = _status(state)
        _save(state, plan)
        if state.status != "interrupted":
            finish(state)
    except BaseException as caught:
        error, state.status = caught, "interrupted" if isinstance(caught, KeyboardInterrupt) else "failed"
        if _is_whole(state, caught):
            _save(state, plan)
        raise
    finally:
        for end in listeners(hooks, "on_fit_end"):
            end(state, error)


def _is_whole(state: TrainState, error: BaseException) -> bool:
    """Whether the state can be resumed from: in the middle of a step weights, buffers and streams do not fit together.

    A loss that is not finite is noticed before the update, so only buffers may be spoilt.
    """
    if state.step == 0 or isinstance(error, CheckpointError):
        return False
    if isinstance(error, NonFiniteLossError):
        return is_finite([*state.model.parameters(), *state.model.buffers()])
    return not state.in_step


def _status(state: TrainState) -> Status:
    if state.signal is not None:
        return "interrupted"
    return "completed" if state.stop_reason is None else "stopped"


def _save(state: TrainState, plan: Plan) -> None:
    if plan.saver is not None:
        plan.saver.save(state)


def _finish(
    state: TrainState,
    *,
    judge: Judge,
    splits: Mapping[str, Batches],
    best: Best | None,
    folder: Path | str | None,
) -> None:
    """Put the best weights in where that is asked for, and judge whole splits in float32."""
    if best is not None and state.best_step not in (None, state.step):
        weights = best.weights
        if weights is None and folder is not None:  # they are from before a resume
            weights = checkpoint.load(Path(folder) / "checkpoints" / "best.pt")["model"]
        if weights is not None:
            state.averaged = None
            state.model.load_state_dict(weights)
    for name, batches in splits.items():
        record(state, name, judge(state.eval_model, batches), final=True)
