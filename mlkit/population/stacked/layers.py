"""Stacked dense layers, embeddings, dropout and small layers of one parameter.

Not here: convolutions (`convolutions`), norms (`norms`) and recurrent layers (`recurrent`) of the same package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.population.stacked.dropout import KeyedDropout, dropout_factors
from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.fold import Fold, StackedLayer
from mlkit.population.stacked.keyed import fold_in, layer_number


class StackedLinear(StackedLayer):
    """`torch.nn.Linear` of all members: a batched product of matrices."""

    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        if self.fold.is_shared(x):
            rows = x.reshape(1, -1, x.shape[-1]).expand(self.fold.size, -1, -1)
            shape = (self.fold.size * x.shape[0], *x.shape[1:-1], self.weight.shape[1])
        else:
            rows = self.split(x).reshape(self.fold.size, -1, x.shape[-1])
            shape = (*x.shape[:-1], self.weight.shape[1])
        return member_linear(rows, self.weight, self.bias).view(shape)


def member_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` ``(K, rows, I)`` through ``weight`` ``(K, O, I)`` and ``bias`` ``(K, O)``: ``(K, rows, O)``."""
    return cast("Tensor", _MemberLinear.apply(x, weight, bias))


class _MemberLinear(torch.autograd.Function):
    """Gradients of weights come out in the layout of the weights, which the fused optimisers need.

    By autograd's own formulas they would be transposed, and copied at every step: 19 against 32 ms for forward and
    backward of 32 layers 784-128 at batch 32 on one thread. For one batch that all share, x is expanded, not repeated:
    268 us against 303 to 321 for one wide product and its transposition (32 layers 64-64), and level for 784-128.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        transposed = weight.transpose(1, 2)
        return torch.bmm(x, transposed) if bias is None else torch.baddbmm(bias[:, None], x, transposed)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            torch.bmm(gradient, weight) if wanted[0] else None,
            torch.bmm(gradient.transpose(1, 2), x) if wanted[1] else None,
            gradient.sum(1) if wanted[2] else None,
        )


class StackedEmbedding(StackedLayer):
    """`torch.nn.Embedding` of all members: one look-up in their tables laid end to end."""

    weight: Tensor

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        first = cast("nn.Embedding", members[0])
        if first.max_norm is not None or first.scale_grad_by_freq or first.sparse:
            raise cannot_stack(name, "an embedding with max_norm, scale_grad_by_freq or sparse gradients")
        super().__init__(members, name, fold, tied)
        self.padding_idx = first.padding_idx

    def forward(self, indices: Tensor) -> Tensor:
        size, count, width = self.weight.shape
        _check_indices(indices, count)  # one too large would read the next member's table
        own = indices[None].expand(size, *indices.shape) if self.fold.is_shared(indices) else self.split(indices)
        first = torch.arange(size, device=indices.device) * count
        vectors = F.embedding(own + first.view(-1, *[1] * (own.ndim - 1)), self.weight.view(size * count, width))
        if self.padding_idx is not None:
            vectors = torch.where((own == self.padding_idx)[..., None], vectors.detach(), vectors)
        return vectors.flatten(0, 1)


def _check_indices(indices: Tensor, count: int) -> None:
    fine = ((indices >= 0) & (indices < count)).all()
    if indices.device.type != "cpu":
        torch._assert_async(fine)
    elif not bool(fine):
        raise IndexError("index out of range in self")  # as torch's own embedding


class StackedDropout(StackedLayer):
    """Dropout of all members, each with its own rate and the masks that `KeyedDropout` draws for it."""

    rates: Tensor

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        super().__init__(members, name, fold, tied)
        self.layer = layer_number(name)
        self.calls = 0
        self.set_rates([cast("nn.Dropout | KeyedDropout", m).p for m in members])

    def set_rates(self, rates: Sequence[float]) -> None:
        """One probability a member."""
        self.rates = torch.tensor(rates, dtype=torch.float64)
        self.is_off = not bool(self.rates.any())

    def select(self, index: Tensor) -> None:
        """Keep the members of ``index``."""
        self.set_rates(self.rates[index.cpu()].tolist())

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.is_off:
            return x
        keys = fold_in(self.fold.keys, self.fold.step, self.layer, self.calls)
        self.calls += 1
        own = x[None] if self.fold.is_shared(x) else self.split(x)
        factors = dropout_factors(keys, own.shape[1:], self.rates.to(x.device), x.dtype)
        return (own * factors).flatten(0, 1)


class StackedScale(StackedLayer):
    """`mlkit.models.blocks.Scale`: one factor a member."""

    weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        own = x[None] if self.fold.is_shared(x) else self.split(x)
        return (own * self.spread(self.weight, own, start=own.ndim - 1)).flatten(0, 1)


class StackedPReLU(StackedLayer):
    """`torch.nn.PReLU`: one slope a member, or one a channel."""

    weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        own = self.split(self.fold.own(x))
        slope = self.weight if own.ndim > 2 else self.weight[:, :1]
        return torch.where(own > 0, own, own * self.spread(slope, own, start=min(2, own.ndim - 1))).flatten(0, 1)
