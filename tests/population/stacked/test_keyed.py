from __future__ import annotations

import hashlib
import math

import pytest
import torch
from torch import Tensor

from mlkit.population.stacked.keyed import (
    fold_in,
    fold_in_int,
    keyed_keep,
    keyed_uniform,
    layer_number,
    thresholds,
)

COUNT = 1 << 17


def stream(key: int, *numbers: int, count: int = COUNT) -> Tensor:
    return keyed_uniform(fold_in(torch.tensor([key]), *numbers), (count,))[0].double()


def chi_square_z(counts: Tensor) -> float:
    """The statistic of equal cells, standardised: about N(0, 1) for many cells."""
    expected = float(counts.sum()) / counts.numel()
    cells = counts.numel() - 1
    return float(((counts - expected) ** 2 / expected).sum() - cells) / math.sqrt(2 * cells)


@pytest.mark.parametrize("key", [0, 1, 12345, -7, 2**62])
def test_numbers_are_uniform(key: int) -> None:
    u = stream(key, 3, 9)
    assert 0 <= float(u.min()) < 1e-4
    assert 1 - 1e-4 < float(u.max()) < 1
    # 1024 cells, 128 a cell; five standard deviations happen by chance once in some 10 ** 6.
    assert abs(chi_square_z(torch.histc(u, 1024, 0, 1))) < 5
    # and so are pairs of neighbours, which share a hashed word
    pairs = (u.view(-1, 2) * 32).long()
    assert abs(chi_square_z(torch.bincount(pairs[:, 0] * 32 + pairs[:, 1], minlength=1024).double())) < 5


@pytest.mark.parametrize("bit", range(0, 24, 3))
def test_every_bit_is_fair(bit: int) -> None:
    bits = (stream(5, 1) * 2**24).long() >> bit & 1
    assert abs(float(bits.double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(COUNT)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 0, 0), (2, 0, 0)),  # neighbouring members
        ((1, 0, 0), (1, 1, 0)),  # steps
        ((1, 5, 0), (1, 5, 1)),  # layers
        ((1, 0, 0), (1, 0, 0, 1)),  # calls
        ((1, 2, 3), (1, 3, 2)),  # step and layer changed over
        ((3, 0), (3 + 2**32, 0)),  # keys that differ in their upper half only
    ],
)
def test_streams_are_independent(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    a, b = stream(*first), stream(*second)
    limit = 5 / math.sqrt(COUNT)
    for shift in (0, 1, 2, 64):
        assert abs(correlation(a, b.roll(shift))) < limit
        assert abs(correlation((a - 0.5).abs(), (b.roll(shift) - 0.5).abs())) < limit
    cells = (a * 32).long() * 32 + (b * 32).long()
    assert abs(chi_square_z(torch.bincount(cells, minlength=1024).double())) < 5


def test_a_stream_does_not_follow_itself() -> None:
    u = stream(11, 4)
    for lag in (1, 2, 3, 7, 32, 64, 1024):
        assert abs(correlation(u, u.roll(lag))) < 5 / math.sqrt(COUNT)


def test_the_mean_over_members_steps_and_layers_is_a_half() -> None:
    keys = torch.arange(256)
    means = [keyed_uniform(fold_in(keys, step, layer), (1,)).double() for step in range(32) for layer in range(16)]
    u = torch.stack(means).flatten()
    assert abs(float(u.mean()) - 0.5) < 5 / math.sqrt(12 * len(u))
    assert abs(chi_square_z(torch.histc(u, 256, 0, 1))) < 5


def test_first_values_of_many_keys_are_distinct_as_often_as_chance_has_it() -> None:
    folded = fold_in(torch.arange(1 << 16), 7)
    assert len(folded.unique()) == 1 << 16
    values = (keyed_uniform(folded, (1,))[:, 0] * 2**24).long()
    expected = (1 << 16) ** 2 / 2 / 2**24  # pairs that meet, a Poisson number
    assert abs((1 << 16) - len(values.unique()) - expected) < 5 * math.sqrt(expected)


def test_numbers_depend_on_key_and_place_alone() -> None:
    keys = torch.tensor([4, -9, 2**61])
    together = keyed_uniform(keys, (3, 5))
    for k, key in enumerate(keys):
        assert torch.equal(keyed_uniform(key[None], (3, 5))[0], together[k])
    assert torch.equal(keyed_uniform(keys.flip(0), (3, 5)).flip(0), together)
    assert torch.equal(keyed_uniform(keys, (100,))[:, :15], together.flatten(1))
    assert torch.equal(torch.vmap(lambda key: keyed_uniform(key, (3, 5)))(keys), together)


def test_tensors_and_integers_fold_alike() -> None:
    for key in (0, 1, -1, 2**63 - 1, -(2**63)):
        for numbers in ((0,), (1, 2), (2**40, 7, 3)):
            assert int(fold_in(torch.tensor([key]), *numbers)) == fold_in_int(key, *numbers)


def test_the_numbers_stay_what_they_are() -> None:
    """A saved run goes on with the same masks in a later version."""
    u = keyed_uniform(fold_in(torch.tensor([1, 2]), 3, layer_number("dropout")), (1000,))
    digest = hashlib.sha256((u * 2**24).to(torch.int32).numpy().tobytes()).hexdigest()
    assert digest[:16] == "0f89607f9b7f2e01"


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_elements_are_kept_at_their_rate(rate: float) -> None:
    keys, rates = torch.arange(8), torch.full((8,), rate, dtype=torch.float64)
    kept = keyed_keep(fold_in(keys, 1), (1 << 14,), rates).double().mean(1)
    spread = math.sqrt(rate * (1 - rate) / (1 << 14))
    assert float((kept - (1 - rate)).abs().max()) <= 5 * spread


def test_each_member_has_its_own_rate() -> None:
    rates = torch.tensor([0.0, 0.2, 0.8, 1.0], dtype=torch.float64)
    kept = keyed_keep(torch.arange(4), (1 << 14,), rates)
    torch.testing.assert_close(kept.double().mean(1), 1 - rates, atol=0.02, rtol=0)
    assert torch.equal(kept[1], keyed_keep(torch.tensor([1]), (1 << 14,), rates[1:2])[0])


def test_keeping_agrees_with_the_uniform_numbers() -> None:
    keys, rates = torch.arange(3), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    uniform = keyed_uniform(keys, (4096,)).double()
    # The uniform numbers are the upper 24 bits, shifted by half their range: signed integers begin in the middle.
    place = (uniform + 0.5) % 1
    assert torch.equal(keyed_keep(keys, (4096,), rates), place >= rates[:, None])


def test_thresholds_reach_both_ends() -> None:
    assert thresholds(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-(2**31), 0, 2**31 - 1]
