from __future__ import annotations

import pytest
import torch
from torch import nn

from mlkit.errors import ConfigError
from mlkit.runtime.precision import autocast


def test_bfloat16_computes_low_and_keeps_weights_and_gradients_high() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(5, 4)
    with autocast("bfloat16", "cpu"):
        output = layer(x)
    output.float().square().mean().backward()
    assert output.dtype == torch.bfloat16
    assert layer.weight.grad is not None
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


def test_float32_changes_no_bit_and_can_be_entered_within_itself() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(5, 4)
    context = autocast("float32", "cpu")
    with context, context:
        inside = layer(x)
    assert torch.equal(inside, layer(x))


def test_a_context_can_be_entered_again() -> None:
    context = autocast("bfloat16", torch.device("cpu"))
    for _ in range(2):
        with context:
            assert torch.is_autocast_enabled("cpu")
        assert not torch.is_autocast_enabled("cpu")


def test_other_precisions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown precision\n  received: 'float16'\n  allowed:  float32, bfloat16"):
        autocast("float16", "cpu")  # type: ignore[arg-type]
