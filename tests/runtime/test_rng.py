from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
import torch

from mlkit.errors import CheckpointError
from mlkit.runtime import rng


def draw() -> tuple[Any, ...]:
    """Something from every stream; the odd number of normal values leaves one in store in Python and NumPy."""
    return (
        random.random(),
        random.gauss(0, 1),
        tuple(np.random.standard_normal(3)),
        np.random.randint(1000),
        tuple(torch.randn(3).tolist()),
        tuple(torch.randperm(10).tolist()),
    )


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.fixture(autouse=True)
def _streams_are_put_back() -> Any:
    with rng.preserved():
        yield


@pytest.mark.parametrize("warm_up", [0, 1])
def test_a_captured_state_continues_after_a_file(warm_up: int) -> None:
    rng.seed_everything(5)
    for _ in range(warm_up):
        draw()
    state = through_a_file(rng.capture())
    expected = draw(), draw()
    rng.seed_everything(99)
    rng.restore(state)
    assert (draw(), draw()) == expected


def test_a_state_can_be_restored_twice() -> None:
    state = rng.capture()
    first = draw()
    rng.restore(state)
    assert draw() == first
    rng.restore(state)
    assert draw() == first


def test_preserved_restores_after_draws_seeds_and_errors() -> None:
    state = rng.capture()
    expected = draw()
    rng.restore(state)
    with pytest.raises(ZeroDivisionError), rng.preserved():
        fail_after_drawing()
    assert draw() == expected


def fail_after_drawing() -> None:
    rng.seed_everything(1)
    draw()
    raise ZeroDivisionError


def test_a_seed_decides_everything() -> None:
    rng.seed_everything(3)
    first = draw()
    rng.seed_everything(3)
    assert draw() == first
    rng.seed_everything(4)
    assert draw() != first


@pytest.mark.parametrize("seed", [0, 2**32, 2**62])
def test_large_seeds_are_fine(seed: int) -> None:
    rng.seed_everything(seed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("torch"),
        lambda state: state.update(torch=torch.zeros(3, dtype=torch.uint8)),
        lambda state: state["python"].update(words=torch.zeros(2)),
        lambda state: state.update(numpy={"bit_generator": "MT19937"}),
        lambda state: state.update(numpy="nothing"),
    ],
)
def test_a_damaged_state_is_a_checkpoint_error(damage: Any) -> None:
    state = rng.capture()
    damage(state)
    with pytest.raises(CheckpointError, match="the state of the random generators cannot be restored"):
        rng.restore(state)


def test_streams_of_absent_devices_are_left_out() -> None:
    state = rng.capture()
    rng.restore({**state, "cuda": [*state.get("cuda", []), torch.get_rng_state()], "other": 1})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_has_a_stream_too() -> None:
    torch.cuda.manual_seed_all(0)
    torch.rand(1, device="cuda")
    state = through_a_file(rng.capture())
    expected = torch.rand(3, device="cuda")
    rng.restore(state)
    assert torch.equal(torch.rand(3, device="cuda"), expected)
