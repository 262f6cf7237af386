"""Which weight of one model is which of the other: by name, then by shape and order.

Not here: what the models compute with them (`mlkit.debug.parity.compare`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import torch
from torch import Tensor, nn

How = Literal["name", "order", "transposed"]


@dataclass(frozen=True)
class Pair:
    """A weight or buffer of mine and its counterpart.

    Args:
        mine: its name.
        reference: the name there.
        how: what made them a pair; ``"transposed"`` where the two shapes are each other's reverse.
    """

    mine: str
    reference: str
    how: How


@dataclass(frozen=True)
class Matching:
    """What belongs together, and what is left over.

    Args:
        pairs: in the order of mine.
        only_mine: without a counterpart.
        only_reference: likewise.
    """

    pairs: tuple[Pair, ...]
    only_mine: tuple[str, ...]
    only_reference: tuple[str, ...]

    def __str__(self) -> str:
        count = {how: sum(pair.how == how for pair in self.pairs) for how in ("name", "order", "transposed")}
        told = [
            f"{number} by {how}" if how != "transposed" else f"{number} transposed" for how, number in count.items()
        ]
        kept = ", ".join(text for text, number in zip(told, count.values(), strict=True) if number)
        parts = [f"{len(self.pairs)} weights and buffers matched ({kept})"]
        parts += [f"only in mine: {', '.join(self.only_mine)}"] if self.only_mine else []
        parts += [f"only in the reference: {', '.join(self.only_reference)}"] if self.only_reference else []
        return "; ".join(parts)


def match(
    mine: nn.Module, reference: nn.Module, *, orders: tuple[Sequence[str], Sequence[str]] | None = None
) -> Matching:
    """Pair the weights and buffers of two models.

    Those with one name and one shape first. Then modules whose weights have the same names and shapes, in the order in
    which they ran, and out of order where that leaves some. Then single weights, by kind (the last part of the name)
    and shape; then by shape alone; then where one is the other transposed.

    Args:
        mine: the model.
        reference: the other.
        orders: names of the modules of both as they ran; by default as they were defined.

    >>> one, other = nn.Sequential(nn.Linear(2, 3)), nn.ModuleDict({"dense": nn.Linear(2, 3)})
    >>> [(pair.mine, pair.reference, pair.how) for pair in match(one, other).pairs]
    [('0.weight', 'dense.weight', 'order'), ('0.bias', 'dense.bias', 'order')]
    """
    a, b = _tensors(mine), _tensors(reference)
    found = {name: Pair(name, name, "name") for name in a if name in b and a[name].shape == b[name].shape}
    if orders is not None:
        a, b = (_sorted(tensors, order) for tensors, order in zip((a, b), orders, strict=True))
    for one, other in _groups_aligned(_rest(a, found, "mine"), _rest(b, found, "reference")):
        found[one] = Pair(one, other, "order")
    for key in (_kind_and_shape, _shape):
        for one, other in _aligned(_rest(a, found, "mine"), _rest(b, found, "reference"), key):
            found[one] = Pair(one, other, "order")
    left_b = _rest(b, found, "reference")
    for name, tensor in _rest(a, found, "mine").items():
        turned = tuple(reversed(tensor.shape))
        other = next((n for n, t in left_b.items() if tensor.ndim >= 2 and t.shape == turned), "")
        if other:
            found[name] = Pair(name, other, "transposed")
            del left_b[other]
    pairs = tuple(found[name] for name in _tensors(mine) if name in found)
    return Matching(pairs, tuple(_rest(a, found, "mine")), tuple(_rest(b, found, "reference")))


def copy_weights(mine: nn.Module, reference: nn.Module, matching: Matching) -> None:
    """Give mine the values of the reference."""
    a, b = _tensors(mine), _tensors(reference)
    with torch.no_grad():
        for pair in matching.pairs:
            value = b[pair.reference]
            a[pair.mine].copy_(value.permute(*reversed(range(value.ndim))) if pair.how == "transposed" else value)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _rest(
    tensors: Mapping[str, Tensor], found: Mapping[str, Pair], side: Literal["mine", "reference"]
) -> dict[str, Tensor]:
    taken = {pair.mine if side == "mine" else pair.reference for pair in found.values()}
    return {name: tensor for name, tensor in tensors.items() if name not in taken}


def _kind_and_shape(name: str, tensor: Tensor) -> tuple[object, ...]:
    return (name.rpartition(".")[2], *tensor.shape)


def _shape(name: str, tensor: Tensor) -> tuple[object, ...]:
    return (tensor.is_floating_point(), *tensor.shape)


def _aligned(a: Mapping[str, Tensor], b: Mapping[str, Tensor], key: object) -> list[tuple[str, str]]:
    """Names whose keys agree, in an order that both have."""
    assert callable(key)
    keys_a: Sequence[object] = [key(name, tensor) for name, tensor in a.items()]
    keys_b: Sequence[object] = [key(name, tensor) for name, tensor in b.items()]
    names_a, names_b = list(a), list(b)
    blocks = SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_matching_blocks()
    return [(names_a[m.a + i], names_b[m.b + i]) for m in blocks for i in range(m.size)]


def _sorted(tensors: Mapping[str, Tensor], order: Sequence[str]) -> dict[str, Tensor]:
    """Tensors in the order in which their modules, or the nearest that hold them, first ran."""
    first = {name: place for place, name in reversed(list(enumerate(order)))}

    def place(name: str) -> int:
        holder = name.rpartition(".")[0]
        while holder and holder not in first:
            holder = holder.rpartition(".")[0]
        return first.get(holder, len(order))

    return dict(sorted(tensors.items(), key=lambda item: place(item[0])))


def _groups_aligned(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Names of tensors in modules that hold the same names and shapes: in a common order first, then in any."""
    of_a, of_b = _groups(a), _groups(b)
    names_a, names_b = list(of_a), list(of_b)
    keys_a, keys_b = [of_a[name] for name in names_a], [of_b[name] for name in names_b]
    blocks = SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_matching_blocks()
    pairs = {names_a[m.a + i]: names_b[m.b + i] for m in blocks for i in range(m.size)}
    for name in names_a:
        if name not in pairs:
            taken = set(pairs.values())
            other = next((one for one in names_b if one not in taken and of_b[one] == of_a[name]), None)
            if other is not None:
                pairs[name] = other
    return [
        (f"{one}.{last}" if one else last, f"{other}.{last}" if other else last)
        for one, other in pairs.items()
        for last, _ in of_a[one]
    ]


def _groups(tensors: Mapping[str, Tensor]) -> dict[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    """Modules to the names and shapes of their tensors."""
    found: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, tensor in tensors.items():
        holder, _, last = name.rpartition(".")
        found.setdefault(holder, []).append((last, tuple(tensor.shape)))
    return {holder: tuple(sorted(entries)) for holder, entries in found.items()}
