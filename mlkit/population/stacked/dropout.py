"""Dropout of one member whose masks are a function of (key, step, layer), so that a stack can draw the same ones.

Not here: the numbers themselves (`mlkit.population.stacked.keyed`) and dropout of a whole stack
(`mlkit.population.stacked.layers`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.keyed import fold_in_int, keyed_keep, layer_number

# Modules that draw from the global generator and that nothing here replaces.
RANDOM = (
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)


class KeyedDropout(nn.Module):
    """`torch.nn.Dropout` with masks from a key; holds no parameters and no buffers.

    Args:
        p: probability of dropping an element.
        key: of the member.
        layer: the layer's name; two layers of one model need two names.

    >>> dropout = KeyedDropout(0.5, key=7, layer="dropout")
    >>> dropout.set_step(3)
    >>> first = dropout(torch.ones(4, 8))
    >>> dropout.set_step(3)
    >>> torch.equal(first, dropout(torch.ones(4, 8)))
    True
    """

    def __init__(self, p: float, *, key: int, layer: str) -> None:
        super().__init__()
        self.p, self.key, self.layer = float(p), key, layer
        self.step = 0
        self.calls = 0
        """Calls within the step: a module that is used twice drops other elements the second time."""

    def set_step(self, step: int) -> None:
        """Of the forward passes that follow."""
        self.step, self.calls = step, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        key = fold_in_int(self.key, self.step, layer_number(self.layer), self.calls)
        self.calls += 1
        keys = torch.tensor([key], device=x.device)
        rates = torch.tensor([self.p], dtype=torch.float64, device=x.device)
        return x * dropout_factors(keys, x.shape, rates, x.dtype)[0]

    def extra_repr(self) -> str:
        return f"p={self.p}, layer={self.layer!r}"


def dropout_factors(keys: Tensor, shape: torch.Size, rates: Tensor, dtype: torch.dtype) -> Tensor:
    """What dropout multiplies by: 0, or ``1 / (1 - rate)`` where an element is kept; ``(K, *shape)``."""
    scale = torch.where(rates < 1, 1 / (1 - rates), 0.0).to(dtype)
    return keyed_keep(keys, shape, rates).to(dtype).mul_(scale.view(-1, *[1] * len(shape)))


class KeyedLSTM(nn.LSTM):
    """`torch.nn.LSTM` whose dropout between the layers is keyed: layer by layer through the same kernels."""

    between: list[KeyedDropout]

    def forward(  # type: ignore[override]
        self,
        input: Tensor,  # noqa: A002 - nn.LSTM's name, by which a model may pass it
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if not isinstance(input, Tensor) or input.ndim != 3 or hx is not None:
            raise cannot_stack("an LSTM", "keyed dropout is for a batch of series of one length, without a first state")
        directions = 2 if self.bidirectional else 1
        count = len(self._flat_weights) // self.num_layers
        batch = input.shape[0 if self.batch_first else 1]
        start = input.new_zeros(directions, batch, self.hidden_size)
        ends: list[tuple[Tensor, Tensor]] = []
        x = input
        for layer in range(self.num_layers):
            if layer:
                x = self.between[layer - 1](x)
            weights = [w for w in self._flat_weights[layer * count : (layer + 1) * count] if w is not None]
            x, *end = torch._VF.lstm(
                x, (start, start), weights, self.bias, 1, 0.0, self.training, self.bidirectional, self.batch_first
            )
            ends.append((end[0], end[1]))
        return x, (torch.cat([h for h, _ in ends]), torch.cat([c for _, c in ends]))

    def train(self, mode: bool = True) -> KeyedLSTM:
        super().train(mode)
        for dropout in self.between:
            dropout.train(mode)
        return self


def use_keyed_dropout(model: nn.Module, key: int) -> None:
    """Give every dropout of ``model`` masks from ``key``, in place: use it on a copy.

    The masks are those that a `Stack` draws for the member with this key. Names, weights and the state dictionary stay.

    Raises:
        CannotStackError: a module draws random numbers in a way that cannot be keyed; the model is unchanged.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    >>> use_keyed_dropout(model, 5)
    >>> model[1]
    KeyedDropout(p=0.1, layer='1')
    """
    modules = list(model.named_modules())
    for name, module in modules:
        _refuse(name, module)
    done: dict[nn.Module, nn.Module] = {}
    for name, module in modules:
        if type(module) is nn.Dropout:
            done[module] = KeyedDropout(module.p, key=key, layer=name).train(module.training)
        elif isinstance(module, KeyedDropout):
            module.key = key
        elif isinstance(module, nn.LSTM) and module.dropout and module.num_layers > 1:
            _key_lstm(module, name, key)
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if child in done:
                setattr(parent, name, done[child])


def _refuse(name: str, module: nn.Module) -> None:
    if isinstance(module, RANDOM) or (isinstance(module, nn.Dropout) and type(module) is not nn.Dropout):
        raise cannot_stack(name, f"{type(module).__name__} draws random numbers that cannot be keyed")
    if isinstance(module, (nn.GRU, nn.RNN)) and module.dropout and module.num_layers > 1:
        raise cannot_stack(name, f"the dropout within {type(module).__name__} cannot be keyed")
    if isinstance(module, nn.MultiheadAttention) and module.dropout:
        raise cannot_stack(name, "the dropout within attention cannot be keyed")
    if isinstance(module, nn.LSTM) and type(module) not in (nn.LSTM, KeyedLSTM):
        raise cannot_stack(name, f"{type(module).__name__} is no plain nn.LSTM")


def lstm_dropout_layer(name: str, after: int) -> str:
    """The name of the dropout that follows layer ``after`` of the LSTM called ``name``."""
    return f"{name}.dropout{after}"


def _key_lstm(module: nn.LSTM, name: str, key: int) -> None:
    module.__class__ = KeyedLSTM
    # A plain list: as submodules they would be modules that the user does not have.
    module.between = [
        KeyedDropout(module.dropout, key=key, layer=lstm_dropout_layer(name, layer)).train(module.training)
        for layer in range(module.num_layers - 1)
    ]


def set_step(model: nn.Module, step: int) -> None:
    """Tell every keyed dropout of ``model`` at which optimiser step it is."""
    for module in model.modules():
        if isinstance(module, KeyedDropout):
            module.set_step(step)
        elif isinstance(module, KeyedLSTM):
            for dropout in module.between:
                dropout.set_step(step)
