from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from mlkit.data.randomness import PrivateRandomness, generators_of

OWN = torch.Generator().manual_seed(1)


def _draws() -> list[float]:
    drawn = [float(torch.rand(())), float(torch.rand((), generator=OWN)), random.random(), random.gauss(0, 1)]
    return [*drawn, float(np.random.rand()), float(np.random.randn())]


def test_draws_inside_are_a_function_of_the_key_and_go_on_from_entry_to_entry() -> None:
    def three(key: int) -> list[list[float]]:
        private, drawn = PrivateRandomness(key, [OWN]), []
        for _ in range(3):
            _draws()
            with private:
                drawn.append(_draws())
        return drawn

    assert three(1) == three(1)
    assert three(1) != three(2)
    assert len({number for drawn in three(1) for number in drawn}) == 18


def test_draws_outside_go_on_as_if_nothing_had_been_drawn_inside() -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state(), OWN.get_state()
    _draws()  # leaves one half of a pair of normal numbers in the generators of Python and NumPy
    expected = _draws()
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])
    OWN.set_state(states[3])
    _draws()
    private = PrivateRandomness(3, [OWN])
    for _ in range(2):
        with private:
            _draws()
    assert _draws() == expected


def test_an_error_inside_puts_the_generators_back_too() -> None:
    def interrupted() -> None:
        with PrivateRandomness(3, []):
            torch.rand(1)
            raise KeyboardInterrupt

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert torch.equal(before, torch.get_rng_state())


def test_the_generators_of_a_loader_are_found_once_each() -> None:
    data, other = TensorDataset(torch.zeros(4)), torch.Generator()
    assert generators_of(DataLoader(data)) == []
    assert generators_of(DataLoader(data, shuffle=True, generator=OWN)) == [OWN]
    inner = BatchSampler(RandomSampler(data, generator=other), 2, drop_last=False)
    assert generators_of(DataLoader(data, batch_sampler=inner, generator=OWN)) == [OWN, other]
