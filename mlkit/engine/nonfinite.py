"""What to say when the loss is no longer a number: the step, the learning rate and the first layer that went bad.

Not here: noticing it (`mlkit.engine.loop`) or finding out why (`mlkit.debug`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.engine.state import TrainState
from mlkit.engine.step import forward
from mlkit.errors import NonFiniteLossError


def tensors_in(value: Any) -> Iterable[Tensor]:
    """All tensors in nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def is_finite(value: Any) -> bool:
    """Whether every floating-point tensor in ``value`` is free of NaN and infinities."""
    return all(bool(torch.isfinite(t).all()) for t in tensors_in(value) if t.is_floating_point())


def first_bad_layer(model: nn.Module, batch: Batch) -> str | None:
    """Name of the first module whose output is non-finite though its inputs are finite; None when there is none.

    The pass runs without gradients; buffers (batch statistics) are put back.
    """
    found: list[str] = []
    handles = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if not found and is_finite(args) and not is_finite(output):
                found.append(f"{name} ({type(module).__name__})")

        return hook

    buffers = {name: value.clone() for name, value in model.named_buffers()}
    for name, module in model.named_modules():  # inner modules are heard before those that hold them
        handles.append(module.register_forward_hook(watch(name or "model")))
    try:
        with torch.no_grad():
            forward(model, batch)
    finally:
        for handle in handles:
            handle.remove()
        for name, value in model.named_buffers():
            value.detach().copy_(buffers[name])
    return found[0] if found else None


def nonfinite_error(state: TrainState, window: Sequence[Batch], loss: float) -> NonFiniteLossError:
    """The error that ends a run whose loss is no longer a number.

    Args:
        state: as it was before the update.
        window: the batches of the update.
        loss: their loss.
    """
    model = state.model
    bad_weights = [name for name, value in model.named_parameters() if not is_finite(value)]
    if not all(is_finite(batch.inputs) and is_finite(batch.targets) for batch in window):
        where, todo = (
            "the inputs or targets of this batch are non-finite",
            "clean the data: look for NaN and infinities",
        )
    elif bad_weights:
        where = f"weights are non-finite after the step before, first {bad_weights[0]}"
        todo = "lower the learning rate (optimizer.lr), or clip gradients (trainer.clip_norm=1)"
    else:
        layer = next(filter(None, (first_bad_layer(model, batch) for batch in window)), None)
        where = f"first bad layer: {layer}" if layer else "the model's output is finite: the loss itself overflows"
        todo = "lower the learning rate (optimizer.lr), or clip gradients (trainer.clip_norm=1)"
    return NonFiniteLossError(
        f"the loss became {loss} at step {state.step + 1}",
        received=f"learning rate {state.learning_rate:g}, {_gradient_norm(model)}; {where}",
        allowed="a finite loss",
        todo=todo,
    )


def _gradient_norm(model: nn.Module) -> str:
    """The norm of the gradients that are there: on a CPU those of the step before, the last that were numbers."""
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    if not norms:
        return "no gradient yet"
    return f"gradient norm {float(torch.linalg.vector_norm(torch.stack(norms))):.3g}"
