from __future__ import annotations

import numpy as np
import pytest

from mlkit.search.halton import halton

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)


@pytest.mark.parametrize("seed", range(4))
def test_each_block_of_a_power_of_the_base_has_one_point_in_each_cell(seed: int) -> None:
    # The defining property of a radical inverse, which permutations of the digits keep.
    points = halton(2 * 17**2, len(PRIMES), seed=seed)
    for column, base in enumerate(PRIMES):
        power = base
        while power <= len(points):
            for block in range(len(points) // power):
                part = points[block * power : (block + 1) * power, column]
                assert sorted((part * power).astype(int)) == list(range(power))
            power *= base


def test_pairs_of_bases_fill_their_boxes_evenly() -> None:
    # By the Chinese remainder theorem each of the 2^3 x 3^2 boxes has one of any 72 points in a row.
    points = halton(72, 2, seed=5, first=1000)
    boxes = (points[:, 0] * 8).astype(int) * 9 + (points[:, 1] * 9).astype(int)
    assert sorted(boxes.tolist()) == list(range(72))


def test_a_sequence_is_continued() -> None:
    whole = halton(64, 6, seed=3)
    np.testing.assert_array_equal(halton(20, 6, seed=3, first=44), whole[44:])
    np.testing.assert_array_equal(halton(64, 4, seed=3), whole[:, :4])


def test_the_seed_says_which_points() -> None:
    np.testing.assert_array_equal(halton(16, 3, seed=1), halton(16, 3, seed=1))
    assert np.abs(halton(16, 3, seed=1) - halton(16, 3, seed=2)).max() > 0.1


def test_points_lie_in_the_cube_and_differ() -> None:
    points = halton(1000, 12, seed=0)
    assert points.min() >= 0
    assert points.max() < 1
    assert all(len(set(column)) == 1000 for column in points.T.tolist())


def test_each_single_point_is_uniform_over_seeds() -> None:
    # Owen (2017): scrambled points are uniform one by one, so that means over them are unbiased.
    first = np.array([halton(1, 5, seed=seed, first=7)[0] for seed in range(2000)])
    for column in np.sort(first, axis=0).T:
        steps = (np.arange(2000) + 0.5) / 2000
        assert np.abs(column - steps).max() < 1.63 / np.sqrt(2000)  # Kolmogorov-Smirnov at 1 %


def test_large_bases_do_not_run_in_stripes() -> None:
    # Unscrambled, the first 29 points of bases 29 and 31 lie on a line.
    plain = np.array([[i / 29, i / 31] for i in range(29)])
    assert np.corrcoef(plain.T)[0, 1] > 0.999
    found = [np.corrcoef(halton(29, 11, seed=seed)[:, 9:].T)[0, 1] for seed in range(30)]
    assert np.sqrt(np.mean(np.square(found))) < 2 / np.sqrt(29)


@pytest.mark.parametrize("dimensions", [2, 5])
def test_it_is_more_even_than_chance(dimensions: int) -> None:
    def errors(draw: object) -> np.ndarray:
        # The mean over the cube of a product of three-way bends is 0.
        values = [np.prod(1 + 0.5 * (draw(seed) - 0.5), axis=1).mean() - 1 for seed in range(40)]  # type: ignore[operator]
        return np.square(values)

    even = errors(lambda seed: halton(64, dimensions, seed=seed)).mean()
    chance = errors(lambda seed: np.random.default_rng(seed).random((64, dimensions))).mean()
    assert even < chance / 10
