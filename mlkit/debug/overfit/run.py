"""`overfit_batch`: can this model, with this loss and optimiser, fit one batch?

The first question to ask of a program that does not train. Not here: why not (`mlkit.debug.overfit.prove`).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from mlkit.data.splits import Batch
from mlkit.debug.overfit import controls
from mlkit.debug.overfit.choose import batch_of
from mlkit.debug.overfit.course import Course, Setup, copied_batch, tensors_of, train
from mlkit.debug.overfit.heights import heights
from mlkit.debug.overfit.report import OverfitReport
from mlkit.debug.overfit.verdict import Verdict, name_course
from mlkit.debug.overfit.yardstick import FITTED, Yardstick, matching, yardstick_for
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.step import LossFunction, forward
from mlkit.errors import ConfigError, ModelError
from mlkit.metrics.losses import loss_for
from mlkit.runtime import rng
from mlkit.task import Task

STEPS = 300
MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]


def overfit_batch(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None = None,
    *,
    steps: int = STEPS,
    seed: int = 0,
    seconds: float = 60.0,
    clip_norm: float | None = None,
) -> OverfitReport:
    """Train copies on one batch until it is fitted, and say what happened in one word.

    A model that works fits a batch of some dozen examples within a few hundred steps. It is judged by accuracy or R²
    and not by the program's own loss; in training and in evaluation mode; and beside two controls: the batch with its
    inputs erased (what the labels' frequencies alone give) and with shuffled labels (what learning by heart takes).
    Nothing that is given is changed, and no random stream moves.

    Args:
        model: as it is at the start of training.
        batch: ``(inputs, targets)``, a `Batch`, or what training is given: a bundle, ``(x, y)`` of many examples, a
            data set, a loader. Of more than 64 examples a balanced choice of 64 is taken; a loader's batch, or a
            `Batch`, is taken as it is.
        loss_fn: ``loss_fn(output, targets) -> scalar``; by default what the targets call for.
        optimizer: of ``model``'s parameters, or a function that makes one for a model; by default Adam at 3e-4.
        steps: after which training ends; up to six times as many where the batch will be fitted by then at the pace of
            the last half.
        seed: of dropout, and of the choice of examples.
        seconds: most for the batch itself, and again for both controls.
        clip_norm: largest 2-norm of the gradient, if training clips.

    Returns:
        The report: ``report.symptom`` is ``"overfits"`` where all is well.

    Raises:
        DataError: ``batch`` holds no pairs of inputs and targets.
        ModelError: the model cannot be copied.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
        >>> x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
        >>> adam = torch.optim.Adam(model.parameters(), lr=0.01)
        >>> report = overfit_batch(model, (x, torch.arange(16) % 3), optimizer=adam)
        >>> report.symptom
        'overfits'
    """
    setup = prepared(model, batch, loss_fn, optimizer, seed=seed, clip_norm=clip_norm)
    stick = stick_of(setup)
    course = train(setup.copied(), stick, steps=steps, seed=seed, seconds=seconds, longer=True)
    verdict = name_course(course, stick, heights(stick, setup.batch.targets, score=course.last_score))
    length = max(len(course.losses) if verdict.is_fine else min(len(course.losses), steps), 20)
    others: list[Course] = []
    for other in (controls.without_inputs(setup.batch), controls.with_shuffled_labels(setup.batch, seed=seed)):
        twin = setup.copied()
        twin = Setup(twin.model, twin.optimizer, other, twin.loss_fn, clip_norm, twin.frozen_norms)
        others.append(train(twin, stick, steps=length, seed=seed, seconds=seconds / 2))
    return OverfitReport(
        verdict,
        course,
        others[0],
        others[1],
        stick,
        examples=len(setup.batch.targets),
        fingerprint=fingerprint(setup.batch),
        notes=tuple(_notes(course, others[0], others[1], stick, verdict=verdict)),
    )


def prepared(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None,
    *,
    seed: int,
    clip_norm: float | None = None,
) -> Setup:
    """Copies of everything, in the form that `train` takes.

    Raises:
        DataError: ``batch`` holds no pairs of inputs and targets.
        ModelError: the model cannot be copied.
        ConfigError: the optimiser is not one of this model's parameters.
    """
    taken, task = batch_of(batch, seed=seed)
    loss = loss_fn if loss_fn is not None else _usual_loss(model, taken, task())
    if isinstance(optimizer, torch.optim.Optimizer):
        own = {id(parameter) for parameter in model.parameters()}
        if not any(id(each) in own for group in optimizer.param_groups for each in group["params"]):
            raise ConfigError(
                "the optimiser holds none of the model's parameters",
                received=type(optimizer).__name__,
                allowed="one that was made with model.parameters(), or a function that makes one",
                todo="make the optimiser after the model is on its device and complete",
            )
    made = optimizer if isinstance(optimizer, torch.optim.Optimizer) else None
    setup = Setup(model, cast("torch.optim.Optimizer", made), taken, loss, clip_norm)
    try:
        twin = setup.copied()
    except Exception as error:
        raise ModelError(
            "the model or its optimiser cannot be copied",
            received=f"{type(error).__name__}: {error}",
            allowed="what copy.deepcopy can copy",
            todo="pass the optimiser as a function, and a model that has made no step yet",
        ) from error
    if made is None:
        make = cast("MakeOptimizer", optimizer) if optimizer is not None else make_optimizer
        twin = Setup(twin.model, make(twin.model), twin.batch, twin.loss_fn, clip_norm)
    device = next((parameter.device for parameter in twin.model.parameters()), torch.device("cpu"))
    return Setup(twin.model, twin.optimizer, on_device(twin.batch, device), twin.loss_fn, clip_norm)


def stick_of(setup: Setup) -> Yardstick | None:
    """The measure that fits what the model puts out; the model and the random streams are left as they are."""
    twin = setup.copied()
    with rng.preserved(), torch.no_grad():
        output = forward(twin.model.train(), twin.batch)
    return yardstick_for(output, setup.batch.targets)


def fingerprint(batch: Batch) -> str:
    """Sixteen hex digits of the numbers in a batch."""
    digest = hashlib.sha256()
    for tensor in tensors_of(copied_batch(batch)):
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _usual_loss(model: nn.Module, batch: Batch, task: Task) -> LossFunction:
    """The loss that the targets call for; of classes, among as many as the model has outputs, not only those seen."""
    if task.kind == "classification":
        try:
            twin = copy.deepcopy(model)
            device = next((parameter.device for parameter in twin.parameters()), torch.device("cpu"))
            with rng.preserved(), torch.no_grad():
                outputs = matching(forward(twin, on_device(copied_batch(batch), device)), batch.targets)
        except Exception:  # told by whoever copies it or makes the first step
            outputs = None
        if outputs is not None and outputs.ndim == 2 and outputs.shape[1] > task.num_outputs:
            task = replace(task, num_outputs=outputs.shape[1], class_names=())
    return loss_for(task)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where the model is."""
    inputs = batch.inputs
    if isinstance(inputs, tuple):
        return Batch(tuple(x.to(device) for x in inputs), batch.targets.to(device))
    return Batch({name: x.to(device) for name, x in inputs.items()}, batch.targets.to(device))


def _notes(course: Course, zeros: Course, shuffled: Course, stick: Yardstick | None, *, verdict: Verdict) -> list[str]:
    notes = []
    if course.touched is not None:
        notes.append(
            f"the batch itself was changed in step {course.touched}, and put back: something writes into its inputs or "
            "targets in place"
        )
    if stick is None:
        notes.append("no output can be compared with the targets: only the loss is judged")
        return notes
    real, blind, by_heart = (stick.share(one.last_score) for one in (course, zeros, shuffled))
    if verdict.symptom == "plateaus" and zeros.losses and abs(real - blind) < 0.05 and blind < FITTED:
        low, other = min(course.losses), min(zeros.losses)
        if abs(low - other) <= 0.02 * abs(other):
            notes.append("with its inputs erased the loss gets as low: the inputs do not reach the output")
    if blind >= FITTED:
        notes.append("with its inputs erased the batch is fitted as well: all its labels are the same, or leak")
    if verdict.is_fine and by_heart >= FITTED and course.scores and shuffled.scores:
        first, other = _steps_to_fit(course, stick), _steps_to_fit(shuffled, stick)
        notes.append(f"fitted after {first} steps, with shuffled labels after {other}")
    return notes


def _steps_to_fit(course: Course, stick: Yardstick) -> int:
    return next(
        (step for step, score in enumerate(course.scores, 1) if stick.share(score) >= FITTED), len(course.scores)
    )
