"""`largest_batch`: the largest batch that fits, found by making steps and not by a formula alone.

Not here: the prediction that the search starts from (`mlkit.debug.memory.estimate`).
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from mlkit.debug.memory import measured
from mlkit.debug.memory.available import available_memory
from mlkit.debug.memory.estimate import fitting, kernels_of, shown
from mlkit.debug.memory.measured import Measured
from mlkit.debug.memory.simulate import Parts, of_size, simulate
from mlkit.debug.overfit.run import MakeOptimizer, prepared
from mlkit.engine.step import LossFunction, forward
from mlkit.errors import ConfigError, MlkitError, ModelError

_FIRST_STEP = 64
"""The first step away from the predicted size is this part of it; each later one is twice as long."""
_SHARE = 0.9
"""Of the free memory; the rest is left to everything else."""


@dataclass(frozen=True)
class Attempt:
    """One size that was tried.

    Args:
        size: of the batch.
        peak: bytes that two steps took; None where they did not come to their end.
        problem: why not.
    """

    size: int
    peak: int | None
    problem: str | None = None


@dataclass(frozen=True)
class LargestBatch:
    """The largest batch that ran.

    Args:
        size: of it; 0 where none did.
        next: one more, which did not run; None where nothing failed up to ``most``.
        budget: bytes that steps were allowed.
        attempts: all that was tried, in order.
    """

    size: int
    next: int | None
    budget: int
    attempts: tuple[Attempt, ...]

    def __str__(self) -> str:
        over = "nothing larger was tried" if self.next is None else f"{self.next} does not run"
        lines = [f"largest batch: {self.size} ({over}; budget {shown(self.budget)})"]
        for one in self.attempts:
            told = shown(one.peak) if one.peak is not None else f"no: {one.problem}"
            lines.append(f"  {one.size:>8}  {told}"[:80])
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def largest_batch(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None = None,
    *,
    budget: int | None = None,
    most: int = 2**16,
) -> LargestBatch:
    """Find the largest batch with which two training steps come to their end.

    The search starts at the predicted size, and every size that is returned was run. On a CPU the steps are made in a
    process of their own, to which the kernel gives no more than the budget; on a GPU on copies, in what is free beside
    the model itself. Nothing that is given is changed.

    Args:
        model: as for `mlkit.overfit_batch`, like all that follows.
        batch: likewise; its examples are repeated for larger batches.
        loss_fn: likewise.
        optimizer: likewise.
        budget: bytes for the steps, copies of the weights included; nine tenths of what is free by default.
        most: examples, such as there are in the training data.

    Raises:
        ConfigError: memory cannot be bounded on this platform and device.
        ModelError: not even one example runs, for another reason than memory.
    """
    setup = prepared(model, batch, loss_fn, optimizer, seed=0)
    parts = Parts(setup.model, setup.optimizer, setup.loss_fn, setup.batch)
    device = next((one.device for one in setup.model.parameters()), torch.device("cpu"))
    why = measured.obstacle() if device.type == "cpu" else (None if device.type == "cuda" else "no way to bound it")
    free = available_memory(device)
    if why is not None or (budget is None and free is None):
        raise ConfigError(
            f"the memory of steps cannot be bounded on {device.type}",
            received=why or "nothing tells how much is free",
            allowed="Linux, with the model on a CPU or a CUDA device",
            todo="estimate_memory predicts without making steps",
        )
    allowed = int(_SHARE * (free or 0)) if budget is None else budget
    attempts: list[Attempt] = []

    def runs(size: int) -> bool:
        found = _on_gpu(parts, size, device) if device.type == "cuda" else _on_cpu(parts, size, allowed)
        attempts.append(Attempt(size, found.peak, found.problem))
        return found.peak is not None

    low, high = _search(runs, min(_start(parts, allowed, device), most), most)
    if low == 0 and not _is_memory(attempts[-1].problem):
        raise ModelError("not even one example can be trained on", received=attempts[-1].problem)
    return LargestBatch(low, high, allowed, tuple(attempts))


def _start(parts: Parts, budget: int, device: torch.device) -> int:
    size = len(parts.batch.targets)
    try:
        kernels = kernels_of(parts, []) if device.type == "cpu" else lambda _: 0
        return max(1, fitting(lambda n: simulate(parts, n).peak + kernels(n), size, budget))
    except MlkitError:
        return size


def _search(runs: Any, start: int, most: int) -> tuple[int, int | None]:
    """The largest size that runs and the next, which does not: in growing steps, then by halves."""
    low, high = 0, None
    n, step = start, max(1, start // _FIRST_STEP)
    while True:
        if runs(n):
            low = n
            if low >= most:
                return low, high
            n = min(low + step, most) if high is None else (low + high) // 2
        else:
            high = n
            n = max(high - step, 1) if low == 0 and high - step > 0 else (low + high) // 2
        step *= 2
        if high is not None and high - low == 1:
            return low, high


def _on_cpu(parts: Parts, size: int, budget: int) -> Measured:
    found = measured.measured_peak(parts, size, limit=budget)
    if found.peak is not None and found.peak > budget:  # by pages that the kernel does not count as data
        return Measured(None, f"memory: {shown(found.peak)} taken")
    return found


def _on_gpu(parts: Parts, size: int, device: torch.device) -> Measured:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    try:
        model, optimizer, loss_fn = copy.deepcopy((parts.model, parts.optimizer, parts.loss_fn))
        batch = of_size(parts.batch, size, made=measured.repeated)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss_fn(forward(model, batch), batch.targets))
            optimizer.step()
        torch.cuda.synchronize(device)
        return Measured(torch.cuda.max_memory_allocated(device) - before)
    except torch.cuda.OutOfMemoryError as error:
        return Measured(None, str(error).splitlines()[0])
    finally:
        torch.cuda.empty_cache()


def _is_memory(problem: str | None) -> bool:
    """Whether a failure is about memory; a process that was ended is taken for one."""
    words = ("memory", "bad_alloc", "allocate", "ended", "no answer")
    return problem is None or any(word in problem.lower() for word in words)
