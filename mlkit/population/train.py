"""`train_many`: many members on the same data, each as `fit` of it alone, by whatever trains them fastest.

Not here: carrying out (`mlkit.population.journey`) and what came of it (`mlkit.population.result`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlkit.engine.inputs import HeldOut, TrainingData, fingerprint_of, named_batches
from mlkit.engine.step import LossFunction
from mlkit.errors import ConfigError
from mlkit.metrics import for_task
from mlkit.metrics.losses import loss_for
from mlkit.metrics.streaming import StreamingMetric
from mlkit.population import snapshots
from mlkit.population.cohort import Cohort
from mlkit.population.course import Course, in_large_batches
from mlkit.population.journey import Journey
from mlkit.population.member import Member
from mlkit.population.plan import BackendWish, check_wish, plan_cohorts
from mlkit.population.progress import Report, reporter
from mlkit.population.result import MemberResult, PopulationResult
from mlkit.population.run import MakeModel, Run, make_runs
from mlkit.population.rungs import Keep
from mlkit.runtime.device import resolve_device


def train_many(
    make_model: MakeModel,
    members: Sequence[Member],
    data: TrainingData,
    *,
    val: HeldOut | None = None,
    loss_fn: LossFunction | None = None,
    metrics: Sequence[StreamingMetric] | None = None,
    max_epochs: int = 10,
    batch_size: int = 32,
    backend: BackendWish = "auto",
    keep: Keep | None = None,
    device: str = "auto",
    workers: int | None = None,
    folder: Path | str | None = None,
    save_every: float = 60.0,
    resume: bool = False,
    progress: Report | bool = False,
) -> PopulationResult:
    """Train every member on ``data``; the result of each is that of `mlkit.fit` with its settings alone.

    Members are judged on ``val`` and ``target_val`` after each epoch, and on all splits, whole, when they complete.

    Args:
        make_model: called with a member, gives a fresh model for it. Members may differ in structure.
        members: their settings.
        data: a `DataBundle`, ``(x, y)`` tensors or arrays, a ``Dataset``, a ``DataLoader``, as for `fit`.
        val: held-out data; for a bundle its own.
        loss_fn: ``loss_fn(output, targets) -> scalar``; by default what the task calls for.
        metrics: streaming metrics; by default what the task calls for.
        max_epochs: passes over the data.
        batch_size: examples in a batch of each member.
        backend: ``"auto"`` measures a few steps of each way and takes the fastest; ``"loop"`` trains one after another,
            ``"processes"`` in worker processes, ``"stacked"`` and ``"vmap"`` as one batched model.
        keep: who goes on after which epochs, such as `halving`; None: all to the end. Those that do not are
            ``"stopped"``, with the metrics of that epoch.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        workers: worker processes at a time; None: one a core.
        folder: where snapshots and the members' results are written; None keeps nothing on disk.
        save_every: seconds between snapshots where no rung is reached; 0 writes one after every epoch.
        resume: go on from the snapshot in ``folder``, bit for bit on a CPU; from the start where there is none yet.
        progress: True writes lines to the standard error stream; or a function that is given each `Progress`.

    Returns:
        The results of all members, in the order given.

    Raises:
        MlkitError: data, models or settings that do not fit, in four parts.
        TrainingError: every member failed.

    >>> import torch
    >>> from torch import nn
    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> y = (x[:, 0] > 0).long()
    >>> members = [Member(seed=0, lr=lr) for lr in (0.001, 0.1)]
    >>> results = train_many(lambda member: nn.Linear(2, 2), members, (x, y), max_epochs=2, device="cpu")
    >>> [(each.status, each.steps) for each in results]
    [('completed', 4), ('completed', 4)]
    """
    begun = time.perf_counter()
    where = resolve_device(device)
    _check_epochs(max_epochs, keep)
    training, judged, task = named_batches(data, val, batch_size=batch_size, seed=0, device=where, augment=None)
    course = Course(
        loss_fn if loss_fn is not None else loss_for(task),
        tuple(metrics if metrics is not None else for_task(task)),
        training,
        in_large_batches(judged),
        max_epochs,
        where,
    )
    check_wish(backend, course)
    runs = make_runs(make_model, members, course)
    path = snapshots.prepare(folder, resume=resume)
    about = {
        "data": fingerprint_of(data),
        "examples": training.num_examples,
        "batches an epoch": len(training),
        "epochs": max_epochs,
        "members": [member.describe() for member in members],
    }
    content = snapshots.read(path, about=about) if resume and path is not None else None
    rungs: list[dict[str, Any]] = [] if content is None else list(content["rungs"])
    if content is None:
        legs = 1 + len(keep.rungs if keep is not None else ())
        cohorts = plan_cohorts(runs, course, backend, workers=workers, legs=legs)
    else:
        cohorts = snapshots.restore(content, runs, lambda some, choice: Cohort(some, course, choice))
    journey = Journey(
        cohorts, course, keep=keep, rungs=rungs, folder=path, about=about, every=save_every, report=reporter(progress)
    )
    journey.go()
    backends = {run.index: cohort.choice.backend for cohort in journey.cohorts for run in cohort.all}
    return PopulationResult(
        tuple(_result(run, backends[run.index]) for run in runs),
        [cohort.to_dict() for cohort in journey.cohorts if cohort.all],
        rungs,
        time.perf_counter() - begun,
        journey.metric,
        course.metrics,
    )


def _check_epochs(max_epochs: int, keep: Keep | None) -> None:
    if isinstance(max_epochs, bool) or not isinstance(max_epochs, int) or max_epochs < 1:
        raise ConfigError("max_epochs cannot be right", received=repr(max_epochs), allowed="a whole number, 1 or more")
    late = [rung for rung in (keep.rungs if keep is not None else ()) if rung >= max_epochs]
    if late:
        raise ConfigError(
            "a rung at or after the end of the run",
            received=f"epoch {late[0]} of {max_epochs}",
            allowed=f"epochs from 1 to {max_epochs - 1}",
        )


def _result(run: Run, backend: str) -> MemberResult:
    record = run.record
    return MemberResult(
        run.index,
        run.member,
        run.model,
        record.metrics,
        record.history,
        record.status,
        record.reason,
        record.epoch,
        record.step,
        record.examples,
        record.seconds,
        backend,
    )
