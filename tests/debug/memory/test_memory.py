"""Memory: parts that are known exactly, predictions beside measurements, and the largest batch."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from torch import Tensor, nn

from mlkit import models
from mlkit.debug.memory import estimate_memory, largest_batch
from mlkit.debug.memory.estimate import fitting
from mlkit.debug.memory.measured import obstacle
from mlkit.debug.memory.simulate import Parts, simulate
from mlkit.debug.memory.tracker import Tracker
from mlkit.debug.overfit.run import prepared
from mlkit.errors import ConfigError, ModelError
from tests.debug.memory.fresh import NAMES, Looked, predicted_and_measured

MIB = 2**20
needs_measuring = pytest.mark.skipif(obstacle() is not None, reason=f"memory is not measured here: {obstacle()}")


def _mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(100, 200), nn.ReLU(), nn.Linear(200, 10))


def _batch(size: int, *shape: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(size, *shape), torch.arange(size) % 10


def _parts(model: nn.Module, batch: object, optimizer: object = None) -> Parts:
    setup = prepared(model, batch, None, optimizer, seed=0)  # type: ignore[arg-type]
    return Parts(setup.model, setup.optimizer, setup.loss_fn, setup.batch)


def test_every_part_of_a_known_network_has_its_known_size() -> None:
    model = _mlp()
    count = sum(parameter.numel() for parameter in model.parameters())
    adam = torch.optim.Adam(model.parameters(), foreach=False)
    found = simulate(_parts(model, _batch(64, 100), adam), 64)
    assert found.at_peak["weights"] == 4 * count
    assert found.at_peak["the batch"] == 64 * 100 * 4 + 64 * 8
    # Two moments of each weight, and a number of steps of each of the four tensors.
    assert found.at_peak["optimiser state"] == 2 * 4 * count + 4 * 4
    # ReLU keeps what it puts out, which the next layer keeps in the same memory; what the first layer puts out is gone,
    # and so are the logits, of which the loss keeps the log-softmax instead.
    assert found.kept == {"in 1": 64 * 200 * 4}
    sgd = simulate(_parts(model, _batch(64, 100), torch.optim.SGD(model.parameters(), lr=0.1)), 64)
    assert "optimiser state" not in sgd.at_peak


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    parts = _parts(_mlp(), _batch(4, 100))
    small, large, larger = (simulate(parts, size) for size in (1000, 2000, 3000))
    assert large.at_peak["weights"] == small.at_peak["weights"]
    assert larger.peak - large.peak == large.peak - small.peak  # affine, to the byte


def test_the_tracker_counts_real_tensors_too_and_sees_them_freed() -> None:
    tracker = Tracker(lambda: "all")
    with tracker:
        x = torch.zeros(1000)
        y = x + 1
        view = y[:10]
        assert tracker.living == {"all": 8000}
        del x, y
        assert tracker.living == {"all": 4000}  # the view keeps the whole
        del view
    assert tracker.living == {}
    assert tracker.peak == 8000


@pytest.fixture(scope="module")
def fresh() -> Iterator[dict[str, Future[Looked]]]:
    """All networks, two at a time."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        yield {name: pool.submit(predicted_and_measured, name) for name in NAMES}


@needs_measuring
@pytest.mark.parametrize("name", NAMES)
def test_the_prediction_is_within_a_tenth_of_the_measurement(name: str, fresh: dict[str, Future[Looked]]) -> None:
    predicted, parts, measured, problem = fresh[name].result()
    assert measured is not None, problem
    assert predicted == pytest.approx(measured, rel=0.1)
    assert parts == predicted


def test_ways_to_save_are_tried_and_not_guessed() -> None:
    def block(channels: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())

    blocks = [block(3), block(32), block(32)]
    model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 2000), nn.Linear(2000, 10))
    estimate = estimate_memory(model, _batch(16, 3, 64, 64), measure=False)
    saved = {one.what.split()[0]: one.saved for one in estimate.savings}
    assert {"a", "bfloat16", "checkpointing", "plain"} <= set(saved)
    states = estimate.parts["optimiser state"]
    assert saved["plain"] == pytest.approx(states, rel=0.01)
    half = estimate_memory(model, _batch(8, 3, 64, 64), measure=False)
    assert saved["a"] == estimate.peak - half.peak
    assert max(map(len, str(estimate).splitlines())) <= 80
    assert json.loads(json.dumps(estimate.to_dict()))["peak"] == estimate.peak


def test_whether_it_fits_is_told_with_the_batch_that_does() -> None:
    model, batch = _mlp(), _batch(8, 100)
    estimate = estimate_memory(model, batch, batch_size=20_000, budget=8 * MIB, measure=False)
    assert estimate.fits is False
    assert estimate.largest is not None
    assert estimate_memory(model, batch, batch_size=estimate.largest, budget=8 * MIB, measure=False).fits
    over = estimate_memory(model, batch, batch_size=int(1.05 * estimate.largest), budget=8 * MIB, measure=False)
    assert not over.fits


@pytest.mark.parametrize("budget", [0, 90, 107, 108, 1000, 10**6])
def test_the_largest_that_fits_a_known_line(budget: int) -> None:
    assert fitting(lambda n: 100 + 7 * n, 4, budget) == max(0, (budget - 100) // 7)


@needs_measuring
def test_the_largest_batch_ran_and_the_next_did_not() -> None:
    model, batch = models.mlp(784, 10, hidden=(512,)), _batch(16, 784)
    found = largest_batch(model, batch, budget=40 * MIB)
    assert found.size > 1000
    assert found.next == found.size + 1
    ran = {one.size: one.peak for one in found.attempts}
    assert ran[found.size] is not None
    assert ran[found.next] is None
    assert max(size for size, peak in ran.items() if peak is not None) == found.size
    assert all(peak <= 40 * MIB for peak in ran.values() if peak is not None)


@needs_measuring
def test_no_more_than_asked_is_tried_and_too_small_a_budget_gives_none() -> None:
    model, batch = _mlp(), _batch(16, 100)
    capped = largest_batch(model, batch, budget=512 * MIB, most=300)
    assert (capped.size, capped.next) == (300, None)
    large = nn.Sequential(nn.Linear(4000, 4000), nn.ReLU(), nn.Linear(4000, 10))
    none = largest_batch(large, _batch(4, 4000), budget=20 * MIB)
    assert (none.size, none.next) == (0, 1)


@needs_measuring
def test_everything_is_left_as_it_was() -> None:
    def steps(*, looked: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(100, 20), nn.BatchNorm1d(20), nn.Dropout(0.5), nn.Linear(20, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x, y = torch.randn(32, 100), torch.arange(32) % 10
        for step in range(3):
            if looked and step == 1:
                before = copy.deepcopy(model.state_dict())
                estimate_memory(model, (x, y), nn.CrossEntropyLoss(), optimizer)
                largest_batch(model, (x, y), nn.CrossEntropyLoss(), optimizer, budget=64 * MIB, most=256)
                assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(x), y))
            optimizer.step()
        return model.state_dict()

    one, other = steps(looked=False), steps(looked=True)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


class _Looks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out if float(out.detach().sum()) > 1e9 else out + 1


def test_a_model_that_looks_at_values_is_told() -> None:
    with pytest.raises(ModelError, match="hold no values"):
        estimate_memory(_Looks(), _batch(8, 4))


@needs_measuring
def test_such_a_model_still_gets_its_largest_batch() -> None:
    found = largest_batch(_Looks(), _batch(8, 4), budget=64 * MIB, most=64)
    assert found.size == 64


@needs_measuring
def test_a_model_that_fails_is_not_taken_for_a_full_memory() -> None:
    with pytest.raises(ModelError, match="not even one example"):
        largest_batch(nn.Linear(5, 10), _batch(8, 4), nn.CrossEntropyLoss(), budget=64 * MIB)


def test_where_memory_cannot_be_bounded_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlkit.debug.memory.measured.obstacle", lambda: "no /proc here")
    with pytest.raises(ConfigError, match="cannot be bounded"):
        largest_batch(_mlp(), _batch(8, 100))
    assert any("no /proc here" in note for note in estimate_memory(_mlp(), _batch(8, 100)).notes)
