"""Stacked LSTM: PyTorch has no batching rule for its own, so the recurrence is written here, with its gradient.

Products of inputs and matrices are made for all steps at once, and so are the gradients of the recurrent matrices; only
what depends on the step before stays in the loop. Not here: padding (`mlkit.models.lstm` reverses by index, never
packs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from mlkit.population.stacked.dropout import KeyedLSTM, dropout_factors, lstm_dropout_layer
from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.fold import Fold, StackedLayer
from mlkit.population.stacked.keyed import fold_in, layer_number

_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # as nn.LSTM orders them


class StackedLSTM(StackedLayer):
    """`torch.nn.LSTM` of all members, for a batch of series of one length that starts from zeros."""

    kernels = ("recurrence", "loop")
    rates: Tensor

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        first = cast("nn.LSTM", members[0])
        if first.proj_size:
            raise cannot_stack(name, "an LSTM with projections")
        super().__init__(members, name, fold, tied)
        self.hidden, self.layers, self.batch_first = first.hidden_size, first.num_layers, first.batch_first
        self.axis = 0 if self.batch_first else 1
        self.directions = ("", "_reverse") if first.bidirectional else ("",)
        self.dropouts = [layer_number(lstm_dropout_layer(name, layer)) for layer in range(self.layers - 1)]
        self.calls = 0
        self.set_rates([_rate(cast("nn.LSTM", m)) for m in members])

    def set_rates(self, rates: Sequence[float]) -> None:
        """Dropout between the layers, one probability a member."""
        self.rates = torch.tensor(rates, dtype=torch.float64)
        self.is_off = not bool(self.rates.any())

    def select(self, index: Tensor) -> None:
        """Keep the members of ``index``."""
        self.set_rates(self.rates[index.cpu()].tolist())

    def forward(
        self,
        input: Tensor,  # noqa: A002 - nn.LSTM's name, by which a model may pass it
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if not isinstance(input, Tensor) or input.ndim != 3 or hx is not None:
            raise cannot_stack(self.label, "packed series, one series without a batch, or a first state")
        axis = self.axis
        if self.fold.is_shared(input, dim=axis):
            size = self.fold.size
            own = input.unsqueeze(axis).expand(*input.shape[:axis], size, *input.shape[axis:])
        else:
            own = self.split(input, dim=axis)
        # (K, C, T, B) within: examples last, so that each gate of a step is one block of memory.
        x = own.permute(0, 3, 2, 1) if self.batch_first else own.permute(1, 3, 0, 2)
        ends: list[tuple[Tensor, Tensor]] = []
        layers = self._loop if self.kernel == "loop" else self._layer
        for layer in range(self.layers):
            x = layers(self._drop(x, layer), layer, ends)
        # (K, B, T, H) or (T, K, B, H)
        output = x.permute(0, 3, 2, 1).flatten(0, 1) if self.batch_first else x.permute(2, 0, 3, 1).flatten(1, 2)
        last, cells = (torch.stack([end[part].transpose(1, 2).flatten(0, 1) for end in ends]) for part in (0, 1))
        if self.training:
            self.calls += 1
        return output, (last, cells)

    def _layer(self, x: Tensor, layer: int, ends: list[tuple[Tensor, Tensor]]) -> Tensor:
        outputs = []
        for direction in self.directions:
            end = f"_l{layer}{direction}"
            series = x.flip(2) if direction else x
            hidden, cell = _recur(series, self._get("weight_ih" + end), self._get("weight_hh" + end), self._bias(end))
            ends.append((hidden[-1], cell))
            hidden = hidden.permute(1, 2, 0, 3)
            outputs.append(hidden.flip(2) if direction else hidden)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    def _loop(self, x: Tensor, layer: int, ends: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Torch's own layer, member by member."""
        size, _, _, rows = x.shape
        names = [f"{part}_l{layer}{d}" for d in self.directions for part in _PARTS]
        weights = [self._parameters[name] for name in names if name in self._parameters]
        members = zip(*(w.unbind() for w in weights if w is not None), strict=True)
        start = x.new_zeros(len(self.directions), rows, self.hidden)
        found = [
            torch._VF.lstm(
                series.permute(1, 2, 0), (start, start), own, len(own) > 2 * len(self.directions), 1, 0.0,
                self.training, len(self.directions) > 1, False,
            )
            for series, own in zip(x, members, strict=True)
        ]  # fmt: skip
        for number in range(len(self.directions)):
            last, cell = (torch.stack([f[part][number] for f in found]).transpose(1, 2) for part in (1, 2))
            ends.append((last, cell))
        assert len(found) == size
        return torch.stack([f[0] for f in found]).permute(0, 3, 1, 2)

    def _bias(self, end: str) -> Tensor | None:
        if "bias_ih" + end not in self._parameters:
            return None
        return self._get("bias_ih" + end) + self._get("bias_hh" + end)

    def _get(self, name: str) -> Tensor:
        return self.get_parameter(name)

    def _drop(self, x: Tensor, layer: int) -> Tensor:
        if layer == 0 or self.is_off or not self.training:
            return x
        keys = fold_in(self.fold.keys, self.fold.step, self.dropouts[layer - 1], self.calls)
        # Numbered in the member's own layout, as nn.LSTM's output between its layers has it.
        width, steps, rows = x.shape[1:]
        shape = torch.Size((rows, steps, width) if self.batch_first else (steps, rows, width))
        factors = dropout_factors(keys, shape, self.rates.to(x.device), x.dtype)
        return x * (factors.permute(0, 3, 2, 1) if self.batch_first else factors.permute(0, 3, 1, 2))


def _rate(member: nn.LSTM) -> float:
    return member.between[0].p if isinstance(member, KeyedLSTM) else float(member.dropout)


def _recur(x: Tensor, of_input: Tensor, of_hidden: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Hidden states ``(T, K, H, B)`` and the last cell ``(K, H, B)`` of series ``(K, C, T, B)``."""
    return cast("tuple[Tensor, Tensor]", _Recurrence.apply(x, of_input, of_hidden, bias))


class _Recurrence(torch.autograd.Function):
    """Hochreiter & Schmidhuber (1997) with forget gates, gates in PyTorch's order: input, forget, cell, output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, of_input: Tensor, of_hidden: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        size, _, steps, rows = x.shape
        units = of_hidden.shape[2]
        flat = x.flatten(2)
        # tanh(z) = 2 sigmoid(2 z) - 1, so one call on all gates does, where the rows of the cell's gate are doubled.
        double = of_hidden.new_ones(4 * units, 1)
        double[2 * units : 3 * units] = 2
        into, through = of_input * double, of_hidden * double
        gates = torch.bmm(into, flat) if bias is None else torch.baddbmm(bias[..., None] * double, into, flat)
        acts = torch.unflatten(gates, 2, (steps, rows)).permute(2, 0, 1, 3).contiguous()
        cells, squashed, hidden = (gates.new_empty(steps, size, units, rows) for _ in range(3))
        for t, act in enumerate(acts):
            if t:
                act.baddbmm_(through, hidden[t - 1])
            act.sigmoid_()
            act[:, 2 * units : 3 * units].mul_(2).sub_(1)
            i, f, g, o = torch.split(act, units, 1)
            torch.mul(i, g, out=cells[t])
            if t:
                cells[t].addcmul_(f, cells[t - 1])
            torch.tanh(cells[t], out=squashed[t])
            torch.mul(o, squashed[t], out=hidden[t])
        ctx.has_bias = bias is not None
        ctx.save_for_backward(flat, of_input, of_hidden, acts, cells, squashed, hidden)
        return hidden, cells[-1].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_hidden: Tensor, by_cell: Tensor) -> tuple[Tensor | None, ...]:
        flat, of_input, of_hidden, acts, cells, squashed, hidden = ctx.saved_tensors
        steps, _, units, rows = hidden.shape
        slopes = torch.empty_like(acts)  # of the gates before their activation
        i, f, g, o = torch.split(acts, units, 2)
        by_i, by_f, by_g, by_o = torch.split(slopes, units, 2)
        # What does not depend on later steps is made for all steps at once. A sigmoid's slope is s - s * s.
        torch.mul(g, torch.addcmul(i, i, i, value=-1), out=by_i)
        torch.mul(cells[:-1], torch.addcmul(f[1:], f[1:], f[1:], value=-1), out=by_f[1:])
        by_f[0].zero_()
        torch.addcmul(i, i, g * g, value=-1, out=by_g)
        torch.mul(squashed, torch.addcmul(o, o, o, value=-1), out=by_o)
        through = torch.addcmul(o, o, squashed * squashed, value=-1)
        transposed = of_hidden.transpose(1, 2)
        cell = by_cell.clone()
        by_hidden = by_hidden.clone(memory_format=torch.contiguous_format)
        for t in reversed(range(steps)):
            own = by_hidden[t]
            if t < steps - 1:
                own.baddbmm_(transposed, slopes[t + 1])
                cell.mul_(f[t + 1])
            cell.addcmul_(own, through[t])
            torch.unflatten(slopes[t, :, : 3 * units], 1, (3, units)).mul_(cell.unsqueeze(1))
            by_o[t].mul_(own)
        slopes = slopes.permute(1, 2, 0, 3).flatten(2)
        before = hidden[:-1].permute(1, 3, 0, 2).transpose(1, 2).flatten(1, 2)  # (K, T B, H) from the second step on
        return (
            torch.unflatten(torch.bmm(of_input.transpose(1, 2), slopes), 2, (steps, rows))
            if ctx.needs_input_grad[0]
            else None,
            torch.bmm(slopes, flat.transpose(1, 2)) if ctx.needs_input_grad[1] else None,
            torch.bmm(slopes[..., rows:], before) if ctx.needs_input_grad[2] else None,
            slopes.sum(2) if ctx.has_bias else None,
        )
