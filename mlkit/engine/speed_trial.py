"""`Trial`: real training steps on a copy of the model under one speed setting, timed, with their losses.

Not here: which settings are tried and which one is taken (`mlkit.engine.speed`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
Clock = Callable[[], float]
MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]

# A visit is timed over several steps while a step is short, since the clock and a thread pool's waking up disturb it.
_VISIT_SECONDS = 0.005
_MOST_STEPS = 10
_LONG = 0.1


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

    The process-wide random generators are seeded by `first_losses`: whoever makes trials preserves them.

    Args:
        work: what a step consists of.
        speed: the setting to try.
    """

    def __init__(self, work: Work, speed: Speed) -> None:
        self.speed = speed
        self.losses: list[float] = []
        self.seconds = float("inf")
        self.work = work
        self._batch = _copied(work.batch)  # a model may change its inputs in place
        self._device = work.batch.targets.device
        self._model = copy.deepcopy(work.model).train()
        self._model.zero_grad(set_to_none=True)
        prepare_model(self._model, speed)
        self._forward = forward_of(self._model, speed)
        self._loss_of = supervised(work.loss_fn, partial(autocast, speed.precision, self._device))
        self._optimizer = work.make_optimizer(self._model)

    def first_losses(self, steps: int = 2) -> list[float]:
        """Make the first steps, each from its own seed, and note their losses and the time of the last one.

        Dropout is off in these steps: it draws in the order of memory, so that the same seed would give another mask in
        another layout, and the losses could not be compared.
        """
        dropouts = [m for m in self._model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
        for module in dropouts:
            module.eval()
        for number in range(steps):
            seed_everything(derive_seed("speed", number))
            self.seconds, loss = self._timed(1, self.speed.threads)
            self.losses.append(float(loss))
        for module in dropouts:
            module.train()
        return self.losses

    @property
    def is_long(self) -> bool:
        """A step takes so long that single ones are worth timing, and too long to make many."""
        return self.seconds > _LONG

    def use_threads(self, count: int, seconds: float) -> None:
        """Go on with ``count`` threads, with which a step takes ``seconds``."""
        self.speed = replace(self.speed, threads=count)
        self.seconds = seconds

    def visit(
        self,
        *,
        count: int | None = None,
        threads: int | None = None,
        warm: bool = False,
        clock: Clock = time.perf_counter,
    ) -> float:
        """Seconds of a step, as the mean over ``count`` steps.

        Args:
            count: steps to make; enough for a few milliseconds when left out.
            threads: other than the setting's own.
            warm: make one step before, since a changed number of threads is slow at first.
            clock: gives the seconds; of this thread alone where neighbours are not to count.
        """
        used = self.speed.threads if threads is None else threads
        if warm:
            self._timed(1, used)
        if count is None:
            count = max(1, min(_MOST_STEPS, int(_VISIT_SECONDS / max(self.seconds, 1e-9))))
        return self._timed(count, used, clock)[0]

    def _timed(self, count: int, thread_count: int, clock: Clock = time.perf_counter) -> tuple[float, Tensor]:
        with torch.enable_grad(), threads(thread_count):
            self._wait()
            begin = clock()
            for _ in range(count):
                loss = self._step()
            self._wait()
            return (clock() - begin) / count, loss.detach()

    def _step(self) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss_of(self._forward, self._batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _copied(batch: Batch) -> Batch:
    inputs, targets = batch
    if isinstance(inputs, Mapping):
        return Batch({name: x.detach().clone() for name, x in inputs.items()}, targets.clone())
    return Batch(tuple(x.detach().clone() for x in inputs), targets.clone())
