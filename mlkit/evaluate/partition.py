"""Random halves of a training set: two independent training sets of half the size, again and again.

Not here: splits of a data set into train, val and test (`mlkit.data.partition`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mlkit.data.partition import partition
from mlkit.errors import ConfigError, DataError
from mlkit.runtime.keys import derive_seed

Rows = NDArray[np.int64]
FEWEST_ROWS = 4  # two rows a half: below, a half is a point


def halves(
    n: int,
    *,
    seed: int,
    number: int,
    strata: NDArray[np.generic] | None = None,
    groups: NDArray[np.generic] | None = None,
    labels: Rows | None = None,
) -> tuple[Rows, Rows]:
    """One random partition of ``n`` rows into two disjoint halves.

    Rows drawn at random from one population, cut at random, are two independent random samples: that is what makes the
    estimates unbiased. Halves with equal counts of each class are not: a class frequent in one is as frequent in the
    other, so what varies with the counts is missed. `tests/evaluate/test_partition.py` shows how much. Hence the halves
    are not stratified by class; only a class that would be missing altogether from one half gets a row moved there.

    Args:
        n: rows; of an odd number one is left out at random.
        seed: root of the choice.
        number: of the partition.
        strata: ``(n,)``; rows of one stratum are shared equally. Only for designs whose composition is fixed, such as
            so many rows a cell.
        groups: ``(n,)``; rows of one group stay together (patients, writers); halves may then differ in size.
        labels: ``(n,)`` classes, which are to be present in both halves where they have two rows.

    Returns:
        The rows of each half, ascending.

    Raises:
        DataError: fewer than four rows, or fewer than two groups.
        ConfigError: strata and groups together.

    >>> first, second = halves(10, seed=0, number=0)
    >>> sorted([*first.tolist(), *second.tolist()]) == list(range(10))
    True
    """
    if n < FEWEST_ROWS:
        raise DataError(
            "too few training rows to halve", received=f"{n} rows", allowed=f"{FEWEST_ROWS} or more", todo="give more"
        )
    if strata is not None and groups is not None:
        raise ConfigError("strata and groups cannot both be kept", received="both", allowed="one of them")
    if strata is not None or groups is not None:
        return _by_codes(n, strata, groups, seed=derive_seed(seed, "halves", number))
    order = np.random.default_rng(derive_seed(seed, "halves", number)).permutation(n)
    first, second = np.sort(order[: n // 2]), np.sort(order[n // 2 : 2 * (n // 2)])
    return (first, second) if labels is None else _with_every_class(first, second, labels)


def _by_codes(
    n: int, strata: NDArray[np.generic] | None, groups: NDArray[np.generic] | None, *, seed: int
) -> tuple[Rows, Rows]:
    given = strata if strata is not None else groups
    assert given is not None
    codes = np.unique(given, return_inverse=True)[1]
    if len(codes) != n:
        what = "strata" if strata is not None else "groups"
        raise DataError(f"{what} do not fit the rows", received=f"{len(codes)}", allowed=f"{n}, one a row")
    if strata is not None:
        return _share(codes, np.random.default_rng(seed))
    first, second = partition(n, [0.5], groups=torch.from_numpy(codes), seed=seed, purpose="halves")
    return first.numpy(), second.numpy()


def _share(codes: Rows, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Equal shares of each stratum; the rows that are left over are shared among themselves."""
    first, second, left = [], [], []
    for code in np.unique(codes):
        rows = random.permutation(np.flatnonzero(codes == code))
        half = len(rows) // 2
        first.append(rows[:half])
        second.append(rows[half : 2 * half])
        left.append(rows[2 * half :])
    rest = random.permutation(np.concatenate(left))
    half = len(rest) // 2
    return (
        np.sort(np.concatenate([*first, rest[:half]])),
        np.sort(np.concatenate([*second, rest[half : 2 * half]])),
    )


def _with_every_class(first: Rows, second: Rows, labels: Rows) -> tuple[Rows, Rows]:
    """Swap single rows until every class with two rows or more is in both halves."""
    for lacking, other in ((0, 1), (1, 0)):
        both = [first, second]
        for label in np.setdiff1d(labels[both[other]], labels[both[lacking]]):
            giver = np.flatnonzero(labels[both[other]] == label)
            names, counts = np.unique(labels[both[lacking]], return_counts=True)
            common = np.flatnonzero(labels[both[lacking]] == names[counts.argmax()])
            if len(giver) < 2 or len(common) < 2:
                continue
            here, there = both[lacking].copy(), both[other].copy()
            here[common[0]], there[giver[0]] = there[giver[0]], here[common[0]]
            both[lacking], both[other] = here, there
        first, second = both
    return np.sort(first), np.sort(second)
