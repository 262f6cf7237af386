"""The memory that steps really take on a CPU, by the resident memory of a forked process.

Not here: a GPU's, which counts by itself (`mlkit.debug.memory.largest`).
"""

from __future__ import annotations

import copy
import ctypes
import gc
import sys
from dataclasses import dataclass

import torch

from mlkit.data.splits import Batch
from mlkit.debug import experiment
from mlkit.debug.memory.simulate import Parts, of_size
from mlkit.engine.step import forward

SECONDS = 120.0
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_PAGES = 65536
"""Blocks from this size are given back to the system when they are freed, so that resident memory is memory in use."""


@dataclass(frozen=True)
class Measured:
    """What a few steps took.

    Args:
        peak: bytes more than before the model was copied; None where the steps could not be made.
        problem: why not.
    """

    peak: int | None
    problem: str | None = None


def obstacle() -> str | None:
    """Why memory cannot be measured here, or None."""
    if sys.platform != "linux":
        return "resident memory is read from Linux's /proc"
    return experiment.obstacle()


def measured_peak(parts: Parts, size: int, *, steps: int = 2, limit: int | None = None, trims: bool = True) -> Measured:
    """Make steps on a batch of ``size`` examples in a process of their own; nothing that is given is changed.

    The process warms up with a step on a batch of two, so that what libraries set up once, and pages of code that are
    read once, are not counted.

    Args:
        parts: of the step.
        size: of the batch.
        steps: how many; from the second on the optimiser's state is there.
        limit: bytes that the process may take beside what it has; a step that needs more fails.
        trims: freed blocks go back to the system at once; else as the C library does by itself, which keeps some.
    """
    outcome = experiment.measure(lambda: _in_a_trimmed_process(parts, size, steps, limit, trims), seconds=2 * SECONDS)
    if isinstance(outcome.value, tuple):
        return Measured(*outcome.value)
    return Measured(None, outcome.problem or "the process was ended")


def _in_a_trimmed_process(
    parts: Parts, size: int, steps: int, limit: int | None, trims: bool
) -> tuple[int | None, str | None]:
    # The highest mark of a process begins at what it has when it is forked: so what is free is given back before.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    outcome = experiment.measure(lambda: _grown(parts, size, steps, limit, trims=trims), seconds=SECONDS)
    if isinstance(outcome.value, int):
        return outcome.value, None
    return None, outcome.problem or "the process was ended"


def _grown(parts: Parts, size: int, steps: int, limit: int | None, *, trims: bool) -> int:
    libc = ctypes.CDLL(None)
    if trims:
        libc.mallopt(_MMAP_THRESHOLD, _PAGES)
        libc.mallopt(_TRIM_THRESHOLD, _PAGES)
    _steps(parts, min(size, 2), 1)
    gc.collect()
    libc.malloc_trim(0)
    if limit is not None:
        import resource

        used = _status("VmData") + limit
        resource.setrlimit(resource.RLIMIT_DATA, (used, used))
    before = _status("VmRSS")
    _steps(parts, size, steps)
    return _status("VmHWM") - before


def _steps(parts: Parts, size: int, steps: int) -> None:
    model, optimizer, loss_fn = copy.deepcopy((parts.model, parts.optimizer, parts.loss_fn))
    batch: Batch = of_size(parts.batch, size, made=repeated)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(forward(model, batch), batch.targets)
        torch.autograd.backward(loss)
        del loss
        optimizer.step()


def repeated(x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Real examples, as often as they are needed: labels stay labels."""
    times = -(-shape[0] // len(x))
    return x.repeat(times, *([1] * (x.ndim - 1)))[: shape[0]].clone()


def _status(name: str) -> int:
    """Bytes of one line of this process's ``/proc/self/status``."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{name}:"))
