"""`Trial`: real training steps on a copy of the model under one speed setting, timed, with what they gave.

Not here: which settings are tried and which one is taken (`mlkit.engine.speed`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.engine.speed_settings import Speed, forward_of, prepare_model
from mlkit.engine.step import supervised
from mlkit.runtime.keys import derive_seed
from mlkit.runtime.precision import autocast
from mlkit.runtime.rng import seed_everything
from mlkit.runtime.threads import threads

LossFunction = Callable[..., Tensor]
MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]

# A visit is timed over several steps while a step is short, since the clock and a thread pool's waking up disturb it.
_VISIT_SECONDS = 0.005
_MOST_STEPS = 10
_LONG = 0.1
_SAMPLE = 2**16  # numbers kept of an output, which may be the logits of 50,000 words at 10,000 places


@dataclass(frozen=True)
class FirstSteps:
    """What the first steps gave.

    Args:
        losses: one a step.
        outputs: of each step an even sample of the model's output, flat; empty where that is not a tensor.
    """

    losses: list[float] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """What a training step consists of: the arguments of `mlkit.engine.speed.choose_speed`."""

    model: nn.Module
    batch: Batch
    loss_fn: LossFunction
    make_optimizer: MakeOptimizer

    def trial(self, speed: Speed) -> Trial:
        """A trial of this work under ``speed``."""
        return Trial(self, speed)


class Trial:
    """A copy of the model with an optimiser of its own; the model, its gradients and its modes are left alone.

    The process-wide random generators are seeded by `first_steps`: whoever makes trials preserves them.

    Args:
        work: what a step consists of.
        speed: the setting to try.
    """

    def __init__(self, work: Work, speed: Speed) -> None:
        self.speed = speed
        self.seconds = float("inf")  # of a step, for comparing
        self.wall = float("inf")  # the same with all that it waits for, for planning
        self.work = work
        self._batch = _copied(work.batch)  # a model may change its inputs in place
        self._device = work.batch.targets.device
        self._model, self._loss_fn = _copied_parts(work)
        self._optimizer = work.make_optimizer(self._model)
        prepare_model(self._model, speed, optimizer=self._optimizer)
        self._forward = forward_of(self._model, speed)
        self._precision = partial(autocast, speed.precision, self._device)
        self._loss_of = supervised(self._loss_fn, self._precision)

    def first_steps(self, steps: int = 2) -> FirstSteps:
        """Make the first steps, each from its own seed, without dropout; the time of the last one is noted."""
        found = FirstSteps()

        def noting(output: Tensor, targets: Tensor) -> Tensor:
            if isinstance(output, Tensor):
                every = max(1, -(-output.numel() // _SAMPLE))
                found.outputs.append(output.detach().flatten()[::every].clone())
            return self._loss_fn(output, targets)

        loss_of, self._loss_of = self._loss_of, supervised(noting, self._precision)
        with _without_dropout(self._model):
            for number in range(steps):
                seed_everything(derive_seed("speed", number))
                self.seconds, loss = self._timed(1, self.speed.threads)
                found.losses.append(float(loss))
        self._loss_of = loss_of
        return found

    @property
    def is_long(self) -> bool:
        """A step takes so long that single ones are worth timing, and too long to make many."""
        return self.wall > _LONG

    def use_threads(self, count: int, seconds: float) -> None:
        """Go on with ``count`` threads, with which a step takes ``seconds``."""
        self.speed = replace(self.speed, threads=count)
        self.seconds = seconds

    def keep_memory(self, keeps: bool, /) -> None:
        """Take note of whether this process keeps freed memory."""
        self.speed = replace(self.speed, keep_memory=keeps)

    def visit(
        self,
        *,
        count: int | None = None,
        threads: int | None = None,
        warm: bool = False,
        own: bool = False,
    ) -> float:
        """Seconds of a step, as the mean over ``count`` steps.

        Args:
            count: steps to make; enough for a few milliseconds when left out.
            threads: other than the setting's own.
            warm: make one step before, since a changed number of threads is slow at first.
            own: count the processor time of this thread alone, so that neighbours on its core do not matter.
        """
        used = self.speed.threads if threads is None else threads
        if warm:
            self._timed(1, used)
        if count is None:
            count = max(1, min(_MOST_STEPS, int(_VISIT_SECONDS / max(self.wall, 1e-9))))
        return self._timed(count, used, own=own)[0]

    def _timed(self, count: int, thread_count: int, *, own: bool = False) -> tuple[float, Tensor]:
        clock = _own_clock() if own else time.perf_counter
        with torch.enable_grad(), threads(thread_count):
            self._wait()
            begin, begin_wall = clock(), time.perf_counter()
            for _ in range(count):
                loss = self._step()
            self._wait()
            seconds = (clock() - begin) / count
            self.wall = min(self.wall, (time.perf_counter() - begin_wall) / count)
            return seconds, loss.detach()

    def _step(self) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss_of(self._forward, self._batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _own_clock() -> Callable[[], float]:
    """Processor time of this thread; where that comes in steps of some 16 ms, as on Windows, ordinary time."""
    return time.thread_time if time.get_clock_info("thread_time").resolution < 1e-5 else time.perf_counter


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Turn dropout off, as layers and as a rate that a layer, such as an LSTM or attention, keeps in ``dropout``.

    It draws in the order of memory: in another layout or precision the same seed gives another mask, so that losses
    could not be compared.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    rates = [(m, m.dropout) for m in model.modules() if isinstance(getattr(m, "dropout", None), float)]
    for layer in layers:
        layer.eval()
    for module, _ in rates:
        module.dropout = 0.0  # type: ignore[assignment]
    yield
    for layer in layers:
        layer.train()
    for module, rate in rates:
        module.dropout = rate


def _copied_parts(work: Work) -> tuple[nn.Module, LossFunction]:
    """The model, ready for training, and the loss; one that is a module may have weights and may refer to the model."""
    loss_fn = work.loss_fn
    if isinstance(loss_fn, nn.Module):
        model, loss_fn = copy.deepcopy((work.model, loss_fn))
    else:
        model = copy.deepcopy(work.model)
    return model.train(), loss_fn


def _copied(batch: Batch) -> Batch:
    inputs, targets = batch
    if isinstance(inputs, Mapping):
        return Batch({name: x.detach().clone() for name, x in inputs.items()}, targets.clone())
    return Batch(tuple(x.detach().clone() for x in inputs), targets.clone())
