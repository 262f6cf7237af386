"""Precision: the arithmetic of the forward pass, float32 or bfloat16 with float32 weights.

Not here: whether bfloat16 is worth it or accurate enough, which is measured (`mlkit.engine.speed`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from mlkit.errors import ConfigError

Precision = Literal["float32", "bfloat16"]
_FLOAT32: AbstractContextManager[None] = nullcontext()


def autocast(precision: Precision, device: torch.device | str) -> AbstractContextManager[None]:
    """The context in which a forward pass and its loss are computed; it can be entered again and again.

    Args:
        precision: ``"float32"`` changes nothing and costs nothing; ``"bfloat16"`` computes products and convolutions
            with 8 bits of mantissa, keeps weights, sums and losses in float32 and so needs no loss scaling
            (Kalamkar et al. 2019, arXiv:1905.12322).
        device: where the model is.

    Raises:
        ConfigError: another precision.

    >>> with autocast("bfloat16", "cpu"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    if precision not in get_args(Precision):
        raise ConfigError("unknown precision", received=repr(precision), allowed=", ".join(get_args(Precision)))
    if precision == "float32":
        return _FLOAT32
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
