"""`estimate_memory`: what a training step will take, by part and by module, before any step is made.

Not here: trying which batch fits (`mlkit.debug.memory.largest`).
"""

from __future__ import annotations

import dataclasses
import html
import math
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mlkit.debug.memory import measured
from mlkit.debug.memory.available import available_memory
from mlkit.debug.memory.simulate import OF_A_MODULE, Parts, Simulation, simulate
from mlkit.debug.overfit.run import MakeOptimizer, prepared
from mlkit.engine.step import LossFunction
from mlkit.errors import MlkitError

MIB = 2**20
WIDTH = 80
_CALIBRATED = 16 * MIB
"""Batches on which kernels are measured keep about so much for the backward pass: well above the noise of 1 MiB."""
_MOST_MODULES = 8
_GUESSES = 5
_MOST = 2**24


@dataclass(frozen=True)
class Saving:
    """One way to take less.

    Args:
        what: to change.
        saved: bytes at the peak.
        how: the line that does it.
    """

    what: str
    saved: int
    how: str


@dataclass(frozen=True)
class MemoryEstimate:
    """The memory of a training step, predicted. All sizes are bytes.

    Args:
        batch_size: examples in the batch.
        peak: the most at any moment.
        when: what is being done then.
        parts: of the peak, by what they are for.
        modules: what is kept of each module's forward pass for the backward pass, largest first: name, kind, bytes.
        kernels: beside tensors: work space of convolutions and recurrent layers, measured on small batches; 0 where it
            could not be.
        budget: what there is; None where nothing tells.
        largest: batch that fits the budget, by the same prediction.
        savings: ways to take less, the largest first.
        notes: what could not be predicted, and why.
    """

    batch_size: int
    peak: int
    when: str
    parts: dict[str, int]
    modules: tuple[tuple[str, str, int], ...]
    kernels: int
    budget: int | None
    largest: int | None
    savings: tuple[Saving, ...]
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether the step fits the budget; None where none is known."""
        return None if self.budget is None else self.peak <= self.budget

    def sentence(self) -> str:
        """The whole in a line."""
        told = f"memory of a step on {self.batch_size} examples: {shown(self.peak)}"
        if self.budget is None:
            return told
        word = "fits" if self.fits else "does not fit"
        return f"{told}; {word} in {shown(self.budget)}"

    def __str__(self) -> str:
        lines = [f"memory of a step on {self.batch_size} examples: {shown(self.peak)}, in {self.when}", ""]
        for name, size in sorted(self.parts.items(), key=lambda item: -item[1]):
            lines.append(f"  {name:<34}{shown(size):>12} {size / self.peak:>6.0%}")
        lines += ["", "  kept for the backward pass"]
        for name, kind, size in self.modules[:_MOST_MODULES]:
            lines.append(f"  {f'{name} ({kind})'[-34:]:<34}{shown(size):>12}")
        if len(self.modules) > _MOST_MODULES:
            rest = sum(size for _, _, size in self.modules[_MOST_MODULES:])
            lines.append(f"  {f'{len(self.modules) - _MOST_MODULES} others':<34}{shown(rest):>12}")
        lines.append("")
        if self.budget is not None:
            word = "fits" if self.fits else "does not fit"
            lines.append(f"  {word} in {shown(self.budget)}; the largest batch that does: about {self.largest:,}")
        for saving in self.savings:
            told = f"{saving.what} saves {shown(saving.saved)}: {saving.how}"
            lines += textwrap.wrap(told, WIDTH, initial_indent="  - ", subsequent_indent="    ")
        for note in self.notes:
            lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "modules": [list(one) for one in self.modules]}

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def estimate_memory(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None = None,
    *,
    batch_size: int | None = None,
    budget: int | None = None,
    measure: bool = True,
) -> MemoryEstimate:
    """Predict what a training step takes.

    Two steps are made with tensors that hold no values, so that any size can be asked for at no cost. What kernels take
    beside tensors is measured: on a CPU, steps on two small batches are made in processes of their own, and what they
    take beyond the prediction goes on in proportion to the batch. Nothing that is given is changed.

    Args:
        model: as for `mlkit.overfit_batch`, like all that follows; on the device that it will be trained on.
        batch: likewise; its size does not matter where ``batch_size`` is given.
        loss_fn: likewise.
        optimizer: likewise.
        batch_size: to predict for; that of ``batch`` by default.
        budget: bytes that there are; by default what is free on the device.
        measure: whether to measure the kernels.

    Returns:
        The estimate: ``estimate.peak`` in bytes; printed, a table.

    Raises:
        DataError: ``batch`` holds no pairs of inputs and targets.
        ModelError: the model cannot be copied, or looks at values.

    Example:
        >>> model = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 10))
        >>> batch = torch.randn(8, 1000), torch.randint(10, (8,))
        >>> estimate = estimate_memory(model, batch, measure=False)
        >>> estimate.parts["weights"] == 4 * sum(p.numel() for p in model.parameters())
        True
    """
    setup = prepared(model, batch, loss_fn, optimizer, seed=0)
    parts = Parts(setup.model, setup.optimizer, setup.loss_fn, setup.batch)
    size = len(setup.batch.targets) if batch_size is None else batch_size
    device = next((one.device for one in setup.model.parameters()), torch.device("cpu"))
    notes: list[str] = []
    kernels = kernels_of(parts, notes) if measure and device.type == "cpu" else lambda _: 0
    found = simulate(parts, size)
    budget = available_memory(device) if budget is None else budget
    largest = None if budget is None else fitting(lambda n: simulate(parts, n).peak + kernels(n), size, budget)
    kinds = {name: type(module).__name__ for name, module in setup.model.named_modules()}
    kept = sorted(found.kept.items(), key=lambda item: -item[1])
    modules = [(label.removeprefix(OF_A_MODULE), bytes_) for label, bytes_ in kept if bytes_]
    return MemoryEstimate(
        size,
        found.peak + kernels(size),
        found.when,
        _grouped(found, kernels(size)),
        tuple((name, kinds.get(name, ""), bytes_) for name, bytes_ in modules),
        kernels(size),
        budget,
        largest,
        tuple(_savings(parts, size, found.peak, notes)),
        tuple(notes),
    )


def kernels_of(parts: Parts, notes: list[str]) -> Callable[[int], int]:
    """What steps take beside tensors, in bytes for a number of examples, measured on two small batches.

    Args:
        parts: of the step.
        notes: told why nothing was measured.
    """
    why = measured.obstacle()
    one, two = (simulate(parts, n).peak for n in (8, 16))
    large = max(2, 8 * _CALIBRATED // max(two - one, 1))
    small = large // 2
    found: list[int] = []
    for n in (small, large):
        if why is None:
            taken = measured.measured_peak(parts, n)
            why = taken.problem
            if taken.peak is not None:
                found.append(taken.peak - simulate(parts, n).peak)
    if why is not None:
        notes.append(f"kernels were not measured: {why}")
        return lambda _: 0
    rise = (found[1] - found[0]) / (large - small)
    return lambda n: max(0, round(found[1] + max(rise, 0.0) * (n - large)))


def fitting(peak: Callable[[int], int], start: int, budget: int) -> int:
    """The largest batch whose predicted peak is within the budget; 0 where even one example is too much.

    Args:
        peak: bytes for a number of examples, rising.
        start: a size to begin with.
        budget: bytes.

    >>> fitting(lambda n: 100 + 7 * n, 4, 1000)
    128
    """
    low, high, n = 0, None, max(1, start)
    at: dict[int, int] = {}
    while high is None and n <= _MOST:
        at[n] = peak(n)
        if at[n] > budget:
            high = n
        else:
            slope = (at[n] - at[low]) / (n - low) if low else 0.0
            room = (budget - at[n]) / slope if slope > 0 else math.inf
            low, n = n, int(min(max(2 * n, n + 1.02 * room), 16 * n))
    if high is None:
        return low
    if low == 0:
        at[1] = peak(1)
        if at[1] > budget:
            return 0
        low = 1
    for _ in range(_GUESSES):  # along the chord: a peak is made of a few straight pieces
        n = low + int((high - low) * (budget - at[low]) / (at[high] - at[low]))
        n = min(max(n, low + 1), high - 1)
        if high - low <= 1:
            break
        at[n] = peak(n)
        low, high = (n, high) if at[n] <= budget else (low, n)
    return low


def _grouped(found: Simulation, kernels: int) -> dict[str, int]:
    parts: dict[str, int] = {}
    names = {"the backward pass": "temporary, in the backward pass", "the optimiser's step": "temporary, in the step"}
    for label, size in found.at_peak.items():
        of_forward = label.startswith(OF_A_MODULE) or label == "the forward pass"
        name = "activations" if of_forward else names.get(label, label)
        parts[name] = parts.get(name, 0) + size
    if kernels:
        parts["work space of kernels"] = kernels
    return {name: size for name, size in parts.items() if size}


def _savings(parts: Parts, size: int, peak: int, notes: list[str]) -> list[Saving]:
    """Each way tried on the same step."""
    half = max(1, size // 2)
    light = dataclasses.replace(parts, optimizer=torch.optim.SGD(parts.model.parameters(), lr=0.1))
    device = next((one.device.type for one in parts.model.parameters()), "cpu")
    ways: list[tuple[str, str, Callable[[], Simulation]]] = [
        (
            f"a batch of {half}, two of them accumulated a step,",
            "trainer.accumulate=2, or two backward passes before a step",
            lambda: simulate(parts, half),
        ),
        (
            "bfloat16 in the forward pass",
            f'with torch.autocast("{device}", dtype=torch.bfloat16):',
            lambda: simulate(parts, size, inside=lambda: torch.autocast(device, dtype=torch.bfloat16)),
        ),
        (
            "checkpointing (a forward pass more of time)",
            "torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)",
            lambda: simulate(parts, size, change=_checkpointed),
        ),
        ("plain SGD", "torch.optim.SGD(model.parameters(), lr=…)", lambda: simulate(light, size)),
    ]
    found = []
    for what, how, run in ways:
        try:
            saved = peak - run().peak
        except MlkitError:
            notes.append(f"not predicted: {what}")
            continue
        if saved > 0.01 * peak:
            found.append(Saving(what, saved, how))
    return sorted(found, key=lambda one: -one.saved)


def _checkpointed(model: nn.Module) -> None:
    """Recompute each of the model's main blocks in the backward pass: the children of the first module with several."""
    holder = model
    while len(list(holder.children())) == 1:
        holder = next(holder.children())
    blocks = [child for child in holder.children() if any(True for _ in child.children())]
    # Blocks of blocks, as a ResNet's layers are, are checkpointed one by one.
    inner = [
        block
        for one in blocks
        for block in (one.children() if any(list(c.children()) for c in one.children()) else [one])
    ]
    for block in inner or list(holder.children()):
        block.forward = _recomputed(block.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(one, Tensor) for one in args):
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run


def shown(size: int) -> str:
    """Bytes for people.

    >>> shown(1536), shown(5 * 2**20)
    ('1.5 KiB', '5 MiB')
    """
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1000 or unit == "GiB":
            return f"{value:.3g} {unit}"
        value /= 1024
    raise AssertionError
