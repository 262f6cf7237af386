"""Clipping of gradients member by member, so that one without bounds does not shrink the others'.

Not here: what is done with a member whose gradient is not finite; its norm tells.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def clip_(gradients: Mapping[str, Tensor], max_norms: Tensor) -> Tensor:
    """Scale each member's gradients in place so that their joint 2-norm is at most its own limit.

    Args:
        gradients: ``(K, *shape)`` by name.
        max_norms: ``(K,)``; infinity leaves a member's gradients as they are.

    Returns:
        The norms before, ``(K,)``; NaN or infinite for a member whose gradient is.

    >>> gradients = {"w": torch.tensor([[3.0, 4.0], [3.0, 4.0]])}
    >>> clip_(gradients, torch.tensor([1.0, torch.inf]))
    tensor([5., 5.])
    >>> gradients["w"]
    tensor([[0.6000, 0.8000],
            [3.0000, 4.0000]])
    """
    norms = gradient_norms(gradients)
    # The small number is torch.nn.utils.clip_grad_norm_'s, so that both give the same.
    limits = max_norms.to(norms.device, norms.dtype)
    scale = torch.where(limits.isinf(), 1.0, (limits / (norms + 1e-6)).clamp(max=1.0))
    for gradient in gradients.values():
        gradient.mul_(scale.to(gradient.dtype).view(-1, *[1] * (gradient.ndim - 1)))
    return norms


@torch.no_grad()
def gradient_norms(gradients: Mapping[str, Tensor]) -> Tensor:
    """The 2-norm of each member's gradients, ``(K,)``."""
    parts = [torch.linalg.vector_norm(g.flatten(1) if g.ndim > 1 else g[:, None], dim=1) for g in gradients.values()]
    norms: Tensor = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    return norms
