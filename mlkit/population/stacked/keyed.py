"""Random numbers that are a function of a key: a member's own, whoever trains beside it and on whatever device.

Counters are hashed, so nothing is drawn in order and nothing has a state. Not here: modules that use the numbers
(`mlkit.population.stacked.dropout`).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

# The multiplier of the rrxmrrxmsx family's 32-bit-shift variant ("degski64"): shifts by half a word let both halves of
# the result be used, at three operations a shift.
_MULTIPLIER = 0xD6E8FEB86659FD93 - (1 << 64)
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # 2**64 / golden ratio, odd: the step of splitmix64 (Steele et al., 2014)
_LOW = 0xFFFFFFFF
_WORD = (1 << 64) - 1
_HALVES = (0, 1) if sys.byteorder == "little" else (1, 0)


def keyed_uniform(keys: Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform numbers in [0, 1), one block a key.

    A number depends on its key and its place in ``shape`` alone. Make the key of a draw with `fold_in`.

    Args:
        keys: int64 ``(K,)``.
        shape: of the numbers of one key; numbers at the same flat index agree between shapes.

    Returns:
        float32 ``(K, *shape)``, multiples of 2 ** -24.

    >>> a = keyed_uniform(torch.tensor([1, 2, 3]), (2, 2))
    >>> torch.equal(a[1], keyed_uniform(torch.tensor([2]), (2, 2))[0])
    True
    """
    bits = _bits(keys, _count(shape))
    return ((bits >> 8) & 0xFFFFFF).to(torch.float32).mul_(2.0**-24).view(*keys.shape, *shape)


def keyed_keep(keys: Tensor, shape: Sequence[int], rates: Tensor) -> Tensor:
    """Which elements dropout keeps: True with probability ``1 - rate``.

    Args:
        keys: int64 ``(K,)``.
        shape: of the elements of one key.
        rates: ``(K,)`` in [0, 1]; exact to 2 ** -32. At 0 all are kept, at 1 one in 2 ** 32.

    Returns:
        bool ``(K, *shape)``.
    """
    bits = _bits(keys, _count(shape))
    # Compared as integers: half the work of making floats first.
    return (bits >= thresholds(rates)[..., None]).view(*keys.shape, *shape)


def thresholds(rates: Tensor) -> Tensor:
    """The int32 below which 32 random bits mean "drop"; the lowest int32 for rate 0."""
    scaled = (rates.to(torch.float64) * 2.0**32).round().clamp(0, 2.0**32 - 1)
    return (scaled - 2.0**31).to(torch.int32)


def fold_in(keys: Tensor, *numbers: int) -> Tensor:
    """New keys from old ones and numbers such as a step or a layer, in order.

    >>> int(fold_in(torch.tensor([5]), 1, 2)) == fold_in_int(5, 1, 2)
    True
    """
    for number in numbers:
        keys = _mix(_mix(keys) + _signed(number * _GOLDEN))
    return keys


def fold_in_int(key: int, *numbers: int) -> int:
    """`fold_in` of one key, without tensors."""
    for number in numbers:
        key = _mix_int(_mix_int(key) + number * _GOLDEN)
    return _signed(key)


def layer_number(name: str) -> int:
    """A number for a layer's name, the same in every process (unlike ``hash``)."""
    return zlib.crc32(name.encode())


def _bits(keys: Tensor, count: int) -> Tensor:
    """32 random bits an element as int32 ``(*keys.shape, count)``: the halves of hashed 64-bit counters."""
    counters = torch.arange((count + 1) // 2, device=keys.device) * _GOLDEN
    words = _mix(counters + _mix(keys)[..., None])
    if torch._C._functorch.is_batchedtensor(words):  # there is no batching rule for reading memory as another type
        halves = torch.stack([_signed_half(words & _LOW), _signed_half((words >> 32) & _LOW)], -1)
        return halves.flatten(-2)[..., :count]
    bits = words.view(torch.int32)
    if _HALVES != (0, 1):
        bits = bits.view(*bits.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return bits[..., :count]


def _signed_half(half: Tensor) -> Tensor:
    return (half - ((half >> 31) << 32)).to(torch.int32)


def _mix(x: Tensor) -> Tensor:
    # A shift of a signed number repeats its sign; the mask makes it the shift of an unsigned one.
    x = (x ^ ((x >> 32) & _LOW)) * _MULTIPLIER
    x = (x ^ ((x >> 32) & _LOW)) * _MULTIPLIER
    return x ^ ((x >> 32) & _LOW)


def _mix_int(x: int) -> int:
    x &= _WORD
    for _ in range(2):
        x = ((x ^ (x >> 32)) * _MULTIPLIER) & _WORD
    return x ^ (x >> 32)


def _signed(x: int) -> int:
    x &= _WORD
    return x - (1 << 64) if x >> 63 else x


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
