"""Scrambled Halton points: quasi-random points that fill the unit cube evenly, for any number of dimensions.

Not here: what the coordinates mean (`mlkit.search.space`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def halton(count: int, dimensions: int, *, seed: int, first: int = 0) -> Array:
    """Points ``first`` to ``first + count - 1`` of the sequence that belongs to ``seed``, ``(count, dimensions)``.

    Each coordinate counts in its own prime base; each digit goes through a random permutation of its own, without which
    the coordinates of large bases run in parallel stripes. A sequence can be continued: points 16 to 31 are the same
    whether they are asked for alone or with the first sixteen.

    Args:
        count: number of points.
        dimensions: coordinates of a point.
        seed: of the permutations.
        first: where in the sequence to start.

    Source: Owen, "A randomized Halton algorithm in R" (arXiv 1706.02808, 2017): permutations of all digits.

    >>> points = halton(4, 2, seed=0)
    >>> sorted((points[:, 0] * 4).astype(int).tolist())
    [0, 1, 2, 3]
    """
    rng = np.random.default_rng(seed)
    points = np.empty((count, dimensions))
    for column, base in enumerate(_primes(dimensions)):
        points[:, column] = _scrambled(np.arange(first, first + count), base, rng)
    return points


def _scrambled(index: npt.NDArray[np.int64], base: int, rng: np.random.Generator) -> Array:
    """The radical inverse of ``index`` in ``base``, every digit permuted down to where floats end."""
    result = np.zeros(len(index))
    scale, rest = 1.0 / base, index
    while scale > 2**-32:
        result += rng.permutation(base)[rest % base] * scale
        rest = rest // base
        scale /= base
    return result + rng.random() * scale * base


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found
