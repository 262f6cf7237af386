"""How K batches travel as one: rows in member-major order, so that a model's own forward runs once for all.

A batch that all members see stays as it is until the first layer with parameters. Not here: what layers do with the
rows (`mlkit.population.stacked.layers`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mlkit.population.stacked.errors import CannotStackError, cannot_stack


class Fold:
    """What the layers of one stack know of the batch under way.

    Args:
        size: members.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows = 1
        """Examples a member."""
        self.shared = False
        """The inputs are one batch for all members and have not been repeated."""
        self.step = 0
        self.keys = torch.zeros(size, dtype=torch.int64)

    def is_shared(self, x: Tensor, *, dim: int = 0) -> bool:
        """Whether ``x`` is still one batch for all."""
        return self.shared and self.size > 1 and x.shape[dim] == self.rows

    def split(self, x: Tensor, layer: str, *, dim: int = 0) -> Tensor:
        """``(K * rows, …)`` as ``(K, rows, …)``; rows are a multiple of the batch.

        Raises:
            CannotStackError: axis ``dim`` does not hold the members' examples.
        """
        rows, left = divmod(x.shape[dim], self.size)
        if left or rows % self.rows:
            raise cannot_stack(
                layer,
                f"its input does not have the examples on axis {dim}",
                received=f"{tuple(x.shape)}, where {self.size} members have {self.rows} examples each",
            )
        return torch.unflatten(x, dim, (self.size, rows))

    def repeat(self, x: Tensor, *, dim: int = 0) -> Tensor:
        """One batch for all as one batch each, ``(K * B, …)``."""
        return repeat_rows(x, self.size, dim=dim)

    def own(self, x: Tensor, *, dim: int = 0) -> Tensor:
        """``x`` as one batch each, whatever it is now."""
        return self.repeat(x, dim=dim) if self.is_shared(x, dim=dim) else x


def repeat_rows(x: Tensor, size: int, *, dim: int = 0) -> Tensor:
    """``x`` ``size`` times along ``dim``."""
    shape = list(x.shape)
    expanded = x.unsqueeze(dim).expand(*shape[:dim], size, *shape[dim:])
    return expanded.flatten(dim, dim + 1)


class StackedLayer(nn.Module):
    """A leaf layer of all members: parameters and buffers under their own names, with a first axis for the member.

    Args:
        members: the layer of each member.
        name: where it is in the model.
        fold: of the stack.
        tied: parameters already stacked, by the identity of the first member's; shared ones stay shared.
    """

    kernels: tuple[str, ...] = ()
    """Ways to compute it, the default first; see `mlkit.population.stacked.kernels`."""
    axis: int = 0
    """Of the examples, in its input and its output."""

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        super().__init__()
        tied = {} if tied is None else tied
        first = members[0]
        self.label = f"{name} ({type(first).__name__})"
        self.fold = fold
        self.kernel = self.kernels[0] if self.kernels else ""
        self.training = first.training
        for key, parameter in first._parameters.items():
            if parameter is None:
                self.register_parameter(key, None)
            else:
                self.register_parameter(key, _stacked([m._parameters[key] for m in members], tied))
        for key, buffer in first._buffers.items():
            persistent = key not in first._non_persistent_buffers_set
            value = None if buffer is None else torch.stack([m.get_buffer(key).detach() for m in members])
            self.register_buffer(key, value, persistent=persistent)

    def split(self, x: Tensor, *, dim: int = 0) -> Tensor:
        """See `Fold.split`."""
        return self.fold.split(x, self.label, dim=dim)

    def spread(self, parameter: Tensor, like: Tensor, *, start: int) -> Tensor:
        """A parameter ``(K, *shape)`` to go with ``like`` ``(K, rows, …)``, where its own axes begin at ``start``."""
        own = parameter.shape[1:]
        after = like.ndim - start - len(own)
        return parameter.view(len(parameter), *[1] * (start - 1), *own, *[1] * after)


def _stacked(members: Sequence[nn.Parameter | None], tied: dict[int, nn.Parameter]) -> nn.Parameter:
    first = members[0]
    assert first is not None
    if id(first) not in tied:
        values = torch.stack([m.detach() for m in members if m is not None])
        tied[id(first)] = nn.Parameter(values, requires_grad=first.requires_grad)
    return tied[id(first)]


Builder = Callable[[Sequence[nn.Module], str, Fold, "dict[int, nn.Parameter]"], nn.Module]

__all__ = ["Builder", "CannotStackError", "Fold", "StackedLayer", "repeat_rows"]
