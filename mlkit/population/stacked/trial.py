"""Trying a forward pass in two ways without leaving a trace.

Not here: which ways (`mlkit.population.stacked.stack`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.keyed import keyed_uniform

# Two ways to sum float32 differ by some 1e-6 a layer; a mix-up of members differs by the size of the outputs.
_TOLERANCE = 1e-3


@contextmanager
def perturbed(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Add to every member's parameters numbers of its own for a while; values come back exactly."""
    kept = [parameter.detach().clone() for parameter in parameters]
    try:
        for number, parameter in enumerate(parameters):
            size = len(parameter)
            keys = torch.arange(size, device=parameter.device) + size * number
            noise = keyed_uniform(keys, parameter.shape[1:]).to(parameter.dtype)
            parameter.add_(noise - 0.5, alpha=0.2)
        yield
    finally:
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)


@contextmanager
def unchanged_generators() -> Iterator[None]:
    """Refuse what draws from torch's global generators: such numbers would not be the member's own.

    Raises:
        CannotStackError: on leaving, when something was drawn; the state is put back.
    """
    before = torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state() if _uses_gpu() else None
    yield
    drawn = not torch.equal(before, torch.get_rng_state())
    if on_gpu is not None and not torch.equal(on_gpu, torch.cuda.get_rng_state()):
        drawn = True
        torch.cuda.set_rng_state(on_gpu)
    if drawn:
        torch.set_rng_state(before)
        raise cannot_stack("", "its forward draws random numbers itself", todo="use nn.Dropout modules, not F.dropout")


def _uses_gpu() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def agree(found: Tensor, expected: Tensor) -> bool:
    """Whether two outputs are the same but for rounding; what is not finite must be so in both."""
    finite = expected[expected.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    return torch.allclose(found, expected, rtol=0.0, atol=_TOLERANCE * max(scale, 1e-30), equal_nan=True)
