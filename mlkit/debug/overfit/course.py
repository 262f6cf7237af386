"""One training on one fixed batch, and what it showed at every step.

Not here: what the course is called (`mlkit.debug.overfit.verdict`), and trials of something else (`.changes`).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.debug.overfit.choose import rows_of
from mlkit.debug.overfit.yardstick import FITTED, Yardstick, matching
from mlkit.engine.evaluation import evaluation_mode
from mlkit.engine.nonfinite import first_bad_layer
from mlkit.engine.step import LossFunction, forward
from mlkit.runtime import rng

STEPS_AT_LEAST = 20
LONGER = 6
"""A batch that is on its way to be fitted is given up to this many times the steps."""
ALONE = 16
"""Examples that are predicted one at a time as well, at most: a forward pass each."""
FITTED_FOR = 5
"""Steps in a row that a batch must be fitted for before training on it ends early."""


@dataclass(frozen=True)
class Setup:
    """What is trained: a model, its optimiser, a batch and a loss.

    Args:
        model: trained as it is; give a copy.
        optimizer: of the model's own parameters.
        batch: the same at every step.
        loss_fn: ``loss_fn(output, targets) -> scalar``.
        clip_norm: largest 2-norm of the gradient; None leaves it.
        frozen_norms: normalisers use and keep their running statistics, as in evaluation.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batch: Batch
    loss_fn: LossFunction
    clip_norm: float | None = None
    frozen_norms: bool = False

    def copied(self) -> Setup:
        """A twin that shares nothing with this one; the loss, where it is a module, included."""
        model, optimizer, loss_fn = copy.deepcopy((self.model, self.optimizer, self.loss_fn))
        return replace(self, model=model, optimizer=optimizer, loss_fn=loss_fn, batch=copied_batch(self.batch))


@dataclass(frozen=True)
class Course:
    """What one training showed.

    Args:
        losses: of every step, before its update; the last may be NaN or infinite.
        scores: of the same outputs, by the yardstick; empty where none fits.
        eval_scores: ``(step, score)`` in evaluation mode, a few over the course and one at its end.
        bad_module: the first module with a non-finite output, where a loss was not finite.
        touched: the step after which the batch was no longer what it had been, or None; it was put back.
        lost_alone: how much of a fitted batch is lost where its examples are predicted one at a time (`lost_alone`).
        seconds: all that it took.
    """

    losses: tuple[float, ...]
    scores: tuple[float, ...]
    eval_scores: tuple[tuple[int, float], ...]
    bad_module: str | None = None
    touched: int | None = None
    lost_alone: float = math.nan
    seconds: float = 0.0

    @property
    def last_score(self) -> float:
        """The median score of the last five steps, in training mode."""
        return _median(self.scores[-FITTED_FOR:])

    @property
    def last_eval_score(self) -> float:
        """The score at the end, in evaluation mode."""
        return self.eval_scores[-1][1] if self.eval_scores else math.nan


def train(
    setup: Setup, stick: Yardstick | None, *, steps: int, seed: int, seconds: float = math.inf, longer: bool = False
) -> Course:
    """Train on the batch until it is fitted, the steps or the seconds are over, or the loss is not finite.

    The random streams of the process are afterwards as they were; model, optimiser and batch of ``setup`` are not.

    Args:
        setup: what to train.
        stick: judges every output; None judges nothing.
        steps: at most.
        seed: of what training draws, such as dropout.
        seconds: at most, looked at after every step.
        longer: go on for up to `LONGER` times the steps where, at the pace of its last half, the batch will be fitted.
    """
    most = LONGER * steps if longer else steps
    begin = time.perf_counter()
    keeper, losses, scores, evals = copied_batch(setup.batch), [], [], []
    touched: int | None = None
    bad: str | None = None
    judge_at, fitted = 1, 0
    with rng.preserved():
        rng.seed_everything(seed)
        for step in range(1, most + 1):
            _to_training(setup)
            output = forward(setup.model, setup.batch)
            loss = setup.loss_fn(output, setup.batch.targets)
            losses.append(float(loss.detach()))
            if stick is not None:
                scores.append(stick.score(output, keeper.targets))
                fitted = fitted + 1 if stick.share(scores[-1]) >= FITTED else 0
            if not math.isfinite(losses[-1]):
                bad = first_bad_layer(setup.model, setup.batch)
                break
            setup.optimizer.zero_grad()
            torch.autograd.backward(loss)
            if setup.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(setup.model.parameters(), setup.clip_norm)
            setup.optimizer.step()
            if not same_batch(setup.batch, keeper):
                touched = step if touched is None else touched
                setup = replace(setup, batch=copied_batch(keeper))
            if step == steps and stick is not None and _is_on_its_way(scores, stick, most / steps - 1):
                steps = most
            is_over = step >= steps or time.perf_counter() - begin > seconds
            # A loss that stays high although the predictions are right is worth waiting for: it may be a plateau.
            is_low = losses[0] > 0 and abs(losses[-1]) < 0.1 * losses[0]
            may_end = fitted >= FITTED_FOR and is_low and step >= STEPS_AT_LEAST
            if stick is not None and (step >= judge_at or is_over or may_end):
                judge_at = math.ceil(1.5 * step)
                evals.append((step, eval_score(setup.model, keeper, stick)))
                if may_end and stick.share(evals[-1][1]) >= FITTED:
                    break
            if is_over:
                break
        is_fitted = stick is not None and bool(evals) and stick.share(evals[-1][1]) >= FITTED
        lost = lost_alone(setup.model, keeper, stick) if stick is not None and is_fitted else math.nan
    spent = time.perf_counter() - begin
    return Course(
        tuple(losses), tuple(scores), tuple(evals), bad_module=bad, touched=touched, lost_alone=lost, seconds=spent
    )


def _is_on_its_way(scores: list[float], stick: Yardstick, times: float) -> bool:
    """Whether a batch that is not fitted will be after ``times`` as many steps again, at the pace of the last half."""
    half = len(scores) // 2
    now, before = (stick.share(_median(tuple(part[-FITTED_FOR:]))) for part in (scores, scores[:half]))
    return now < FITTED and FITTED - now <= 2 * times * (now - before)


def eval_score(model: nn.Module, batch: Batch, stick: Yardstick) -> float:
    """The score in evaluation mode; every module's mode is afterwards as it was."""
    with evaluation_mode(model):
        return stick.score(forward(model, copied_batch(batch)), batch.targets)


def lost_alone(model: nn.Module, batch: Batch, stick: Yardstick) -> float:
    """How much worse examples are predicted alone than in their batch, in evaluation mode; 0 where all is well.

    A softmax over the wrong axis, statistics of the batch at the wrong place: the output for one example depends on the
    others, and what was learned holds in this company only.

    Args:
        model: its modes are afterwards as they were.
        batch: of which up to `ALONE` examples are taken, spread over it.
        stick: the difference of its `share` is told; NaN where the model does not take a single example.
    """
    count = len(batch.targets)
    rows = torch.arange(0, count, max(1, -(-count // ALONE)), device=batch.targets.device)
    try:
        with evaluation_mode(model):
            together = matching(forward(model, copied_batch(batch)), batch.targets)
            singles = [rows_of(batch, rows[i : i + 1]) for i in range(len(rows))]
            apart = [matching(forward(model, single), single.targets) for single in singles]
    except Exception:  # what takes no single example is told by the first step, where that matters
        return math.nan
    outputs = [output for output in apart if output is not None]
    if together is None or len(outputs) < len(rows) or any(o.shape[1:] != together.shape[1:] for o in outputs):
        return math.nan
    targets = batch.targets[rows]
    return stick.share(stick.score(together[rows], targets)) - stick.share(stick.score(torch.cat(outputs), targets))


def copied_batch(batch: Batch) -> Batch:
    """The same values in memory of their own."""
    inputs = batch.inputs
    if isinstance(inputs, Mapping):
        return Batch({name: value.clone() for name, value in inputs.items()}, batch.targets.clone())
    return Batch(tuple(value.clone() for value in inputs), batch.targets.clone())


def same_batch(one: Batch, other: Batch) -> bool:
    """Whether two batches hold the same numbers."""
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return all(torch.equal(a, b) or _same_with_nan(a, b) for a, b in pairs)


def tensors_of(batch: Batch) -> list[Tensor]:
    """Inputs in order, then the targets."""
    inputs = batch.inputs
    return [*(inputs.values() if isinstance(inputs, Mapping) else inputs), batch.targets]


def _same_with_nan(a: Tensor, b: Tensor) -> bool:
    return a.is_floating_point() and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _to_training(setup: Setup) -> None:
    setup.model.train()
    if setup.frozen_norms:
        for module in setup.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _median(values: tuple[float, ...]) -> float:
    finite = sorted(value for value in values if math.isfinite(value))
    return finite[len(finite) // 2] if finite else math.nan
