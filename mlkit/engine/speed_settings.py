"""`Speed`: how a run uses the machine, as a record that is printed, stored with the run and replayed on resume.

Not here: which setting is best, which is measured (`mlkit.engine.speed`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast, get_args

import torch
from torch import nn

from mlkit.engine.optimizers import match_layout, spare_gradient_copies
from mlkit.errors import CheckpointError
from mlkit.runtime.allocator import hand_back, keep_freed_memory
from mlkit.runtime.precision import Precision
from mlkit.runtime.threads import threads


@dataclass(frozen=True)
class Speed:
    """How training steps are carried out. Two runs with the same seed and the same `Speed` do the same arithmetic.

    Args:
        threads: CPU threads within an operation.
        channels_last: convolution weights, and so activations, lie in memory with their channels last.
        precision: arithmetic of the forward pass, ``"float32"`` or ``"bfloat16"``; weights stay float32.
        compiled: the model is called through ``torch.compile``.
        cuda_graph: and replayed as CUDA graphs.
        keep_memory: the process keeps memory that a step frees (`mlkit.runtime.allocator`); it goes back at the end.
        reason: one line that says what was chosen and why.
        timings: median seconds of a step by what was tried.

    >>> Speed(threads=1, reason="speed: 1 thread").to_dict()["precision"]
    'float32'
    """

    threads: int
    channels_last: bool = False
    precision: Precision = "float32"
    compiled: bool = False
    cuda_graph: bool = False
    keep_memory: bool = False
    reason: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Speed:
        """The `Speed` that `to_dict` wrote.

        Raises:
            CheckpointError: ``values`` is something else.
        """
        if not isinstance(values, Mapping) or not _can_be_read(values):
            raise CheckpointError(
                "the recorded speed settings cannot be read",
                received=str(values),
                allowed="what Speed.to_dict() gives",
                todo="resume from another checkpoint, or start a new run",
            )
        return cls(**values)


def off() -> Speed:
    """What ``speed=off`` means: float32, nothing rearranged, and as many threads as PyTorch is set to now."""
    count = torch.get_num_threads()
    return Speed(threads=count, reason=f"speed: off, float32 with {in_threads(count)}")


@contextmanager
def applied(speed: Speed) -> Iterator[None]:
    """Run the body with the threads and the allocator of ``speed``, then go back to the number of threads before."""
    kept = speed.keep_memory and keep_freed_memory()
    with threads(speed.threads):
        try:
            yield
        finally:
            if kept:
                hand_back()


def prepare_model(
    model: nn.Module, speed: Speed, *, optimizer: torch.optim.Optimizer | None = None
) -> Callable[[], None]:
    """Lay the model's parameters out in memory as ``speed`` says; values, and the parameters themselves, stay the same.

    Args:
        model: its four-dimensional parameters become channels-last where that was chosen; activations follow them.
            Those that share memory with something else are left.
        speed: the setting.
        optimizer: its state and gradients get the layout of their parameters, which fused kernels rely on. Give it
            whenever it has made a step or loaded a state.

    Returns:
        A function that lays everything out as it was before.
    """
    kernels = _kernels(model) if speed.channels_last else []
    before = [parameter.stride() for parameter in kernels]
    for parameter in kernels:
        parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    _follow(kernels, optimizer)
    end = spare_gradient_copies(optimizer, kernels) if optimizer is not None else None

    def restore() -> None:
        if end is not None:
            end()
        for parameter, stride in zip(kernels, before, strict=True):
            if parameter.stride() != stride:
                old = torch.empty_strided(parameter.shape, stride, dtype=parameter.dtype, device=parameter.device)
                parameter.data = old.copy_(parameter.data)
        _follow(kernels, optimizer)

    return restore


def forward_of(model: nn.Module, speed: Speed) -> nn.Module:
    """What to call for a training step: the model itself, or its compiled form, which shares its parameters."""
    if not speed.compiled:
        return model
    return cast("nn.Module", torch.compile(model, mode="reduce-overhead" if speed.cuda_graph else "default"))


def in_threads(count: int) -> str:
    """``count`` threads in words.

    >>> in_threads(1), in_threads(4)
    ('1 thread', '4 threads')
    """
    return "1 thread" if count == 1 else f"{count} threads"


def _can_be_read(values: Mapping[str, Any]) -> bool:
    threads_, timings = values.get("threads"), values.get("timings", {})
    flags = [values.get(name, False) for name in ("channels_last", "compiled", "cuda_graph", "keep_memory")]
    return (
        set(values) <= {entry.name for entry in fields(Speed)}  # an unknown setting could not be replayed
        and type(threads_) is int
        and threads_ >= 1
        and all(isinstance(flag, bool) for flag in flags)
        and values.get("precision", "float32") in get_args(Precision)
        and isinstance(values.get("reason", ""), str)
        and isinstance(timings, Mapping)
        and all(isinstance(name, str) and type(seconds) in (int, float) for name, seconds in timings.items())
    )


def _kernels(model: nn.Module) -> list[nn.Parameter]:
    """Four-dimensional parameters with memory of their own; others would be cut off from what shares it."""
    parameters = [p for p in model.parameters() if p.layout == torch.strided]
    users = Counter(p.untyped_storage().data_ptr() for p in parameters)
    return [
        p
        for p in parameters
        if p.ndim == 4
        and users[p.untyped_storage().data_ptr()] == 1
        and p.untyped_storage().nbytes() == p.numel() * p.element_size()
    ]


def _follow(kernels: list[nn.Parameter], optimizer: torch.optim.Optimizer | None) -> None:
    for parameter in kernels:
        if parameter.grad is not None and parameter.grad.stride() != parameter.stride():
            parameter.grad = torch.empty_like(parameter).copy_(parameter.grad).detach()
    if optimizer is not None:
        match_layout(optimizer)
