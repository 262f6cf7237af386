"""Partitions: which examples go to which split, as pure functions of the labels, the groups and a seed.

Not here: the content of the examples; nothing in this file ever sees an input.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mlkit.errors import ConfigError, DataError
from mlkit.runtime.keys import generator


def partition(
    n: int,
    fractions: Sequence[float],
    *,
    labels: Tensor | None = None,
    groups: Tensor | None = None,
    ordered: bool = False,
    seed: int = 0,
    purpose: str = "split",
) -> tuple[Tensor, ...]:
    """Cut ``n`` examples into disjoint parts that cover everything: what is left over, then one part a fraction.

    Args:
        n: number of examples.
        fractions: share of each part after the first; the first part gets the rest. A fraction above zero gets at
            least one example.
        labels: int64 ``(n,)``; each cut part holds every class in proportion within one example, and no class is ever
            taken out of the first part altogether (a class with a single example stays there). Where rare classes
            cannot give their share, common ones give more.
        groups: int64 ``(n,)``; examples of one group end up in one part. Groups are taken in a random order as long as
            each brings a part closer to its share, and ``labels`` is not used.
        ordered: examples are in time order; the parts are contiguous and follow one another.
        seed: key of the random choice; not used when ``ordered``.
        purpose: further key, so that two cuts with one seed are independent.

    Returns:
        One int64 index tensor a part, ascending.

    Raises:
        ConfigError: the fractions are not in ``[0, 1)`` or leave nothing.
        DataError: there are fewer examples or groups than parts, no class can spare an example for a part, or both
            ``groups`` and ``ordered`` are asked for.

    >>> train, val = partition(10, [0.2], labels=torch.tensor([0] * 5 + [1] * 5))
    >>> len(train), val // 5
    (8, tensor([0, 1]))
    """
    sizes = _sizes(n, fractions)
    if ordered and groups is not None:
        raise DataError(
            "groups and time order cannot both be kept",
            received="a data set with groups and ordered=True",
            todo="choose one: drop the groups, or set ordered=False",
        )
    if ordered:
        return _contiguous(n, sizes)
    if groups is not None:
        return _by_group(groups.cpu(), sizes, seed=seed, purpose=purpose)
    labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels.cpu()
    return _stratified(labels, sizes, seed=seed, purpose=purpose)


def subset(n: int, size: int, *, labels: Tensor | None = None, seed: int = 0, purpose: str = "limit") -> Tensor:
    """Choose ``size`` of ``n`` examples, classes in proportion, each class at least once where ``size`` allows.

    Returns:
        int64 ``(size,)``, ascending; all examples when ``size >= n``.

    >>> subset(6, 2, labels=torch.tensor([0, 0, 0, 0, 0, 1])).shape
    torch.Size([2])
    """
    if size >= n:
        return torch.arange(n)
    labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels.cpu()
    classes, codes = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(codes, minlength=len(classes))
    quota = _largest_remainder(counts, size, room=counts)
    if size >= len(classes):
        quota = _at_least_one(quota)
    return torch.where(_ranks(codes, counts, seed=seed, purpose=purpose) < quota[codes])[0]


def _sizes(n: int, fractions: Sequence[float]) -> list[int]:
    bad = [fraction for fraction in fractions if not 0.0 <= fraction < 1.0]
    if bad or sum(fractions) >= 1.0:
        raise ConfigError(
            "the shares of the held-out splits leave nothing to train on",
            received=", ".join(map(str, fractions)),
            allowed="shares from 0 up to, not including, 1, with a sum below 1",
            todo="set data.val_fraction and data.test_fraction to, say, 0.1 and 0.2",
        )
    sizes = [max(1, round(n * fraction)) if fraction > 0 else 0 for fraction in fractions]
    if n - sum(sizes) < 1:
        raise DataError(
            "too few examples to split",
            received=f"{n} examples",
            allowed=f"at least {1 + sum(size > 0 for size in sizes)}, one a split",
            todo="give more examples or ask for fewer splits",
        )
    return sizes


def _contiguous(n: int, sizes: list[int]) -> tuple[Tensor, ...]:
    ends = [n - sum(sizes)]
    for size in sizes:
        ends.append(ends[-1] + size)
    return tuple(torch.arange(start, end) for start, end in zip([0, *ends], ends, strict=False))


def _stratified(labels: Tensor, sizes: list[int], *, seed: int, purpose: str) -> tuple[Tensor, ...]:
    classes, codes = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(codes, minlength=len(classes))
    rank = _ranks(codes, counts, seed=seed, purpose=purpose)
    part = torch.zeros(len(labels), dtype=torch.int64)
    taken = torch.zeros_like(counts)
    for number, size in enumerate(sizes, start=1):
        quota = _largest_remainder(counts, size, room=counts - taken - 1)
        if size > 0 and not bool(quota.any()):
            raise DataError(
                "no class can spare an example for a held-out split",
                received=f"{len(labels)} examples of {len(classes)} classes",
                allowed="a class with more examples than there are splits",
                todo="give more examples of each class, ask for fewer splits, or give the held-out examples yourself",
            )
        part[(rank >= taken[codes]) & (rank < (taken + quota)[codes])] = number
        taken = taken + quota
    return tuple(torch.where(part == number)[0] for number in range(len(sizes) + 1))


def _ranks(codes: Tensor, counts: Tensor, *, seed: int, purpose: str) -> Tensor:
    """A random rank within its class for every example: 0 to count - 1."""
    order = torch.randperm(len(codes), generator=generator(seed, purpose, len(codes)))
    order = order[torch.argsort(codes[order], stable=True)]
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(codes)
    rank[order] = torch.arange(len(codes)) - starts[codes[order]]
    return rank


def _largest_remainder(counts: Tensor, size: int, *, room: Tensor) -> Tensor:
    """``size`` shared out in proportion to ``counts``: each quota rounded down, the largest remainders up.

    ``room`` is the most a class can give; where rare classes cannot give their share, common ones give more.
    """
    exact = counts.double() * size / counts.sum()
    quota = torch.minimum(exact.floor().long(), room.clamp(min=0))
    missing = size - int(quota.sum())
    while missing > 0:
        candidates = torch.where(quota < room)[0]
        if len(candidates) == 0:
            break
        remainder = (exact - quota)[candidates]
        chosen = candidates[torch.argsort(remainder, descending=True, stable=True)[:missing]]
        quota[chosen] += 1
        missing -= len(chosen)
    return quota


def _at_least_one(quota: Tensor) -> Tensor:
    quota = quota.clone()
    for empty in torch.where(quota == 0)[0]:
        quota[quota.argmax()] -= 1
        quota[empty] = 1
    return quota


def _by_group(groups: Tensor, sizes: list[int], *, seed: int, purpose: str) -> tuple[Tensor, ...]:
    names, codes = torch.unique(groups, return_inverse=True)
    needed = 1 + sum(size > 0 for size in sizes)
    if len(names) < needed:
        raise DataError(
            "too few groups to split without taking one apart",
            received=f"{len(names)} groups",
            allowed=f"at least {needed}, one a split",
            todo="ask for fewer splits, or split without groups if examples of one group are independent",
        )
    members = torch.bincount(codes).tolist()
    left = torch.randperm(len(names), generator=generator(seed, purpose, len(names))).tolist()
    part_of_group = torch.zeros(len(names), dtype=torch.int64)
    for number, size in enumerate(sizes, start=1):
        if size > 0:
            reserve = 1 + sum(later > 0 for later in sizes[number:])
            chosen = _fill(left, members, size, most=len(left) - reserve)
            part_of_group[chosen] = number
            taken = set(chosen)
            left = [group for group in left if group not in taken]
    part = part_of_group[codes]
    return tuple(torch.where(part == number)[0] for number in range(len(sizes) + 1))


def _fill(order: list[int], members: list[int], size: int, *, most: int) -> list[int]:
    """Groups taken in turn as long as each brings the total closer to ``size``; at least one, at most ``most``."""
    chosen: list[int] = []
    total = 0
    for group in order:
        if len(chosen) < most and abs(total + members[group] - size) < abs(total - size):
            chosen.append(group)
            total += members[group]
    return chosen or [min(order, key=lambda group: members[group])]
