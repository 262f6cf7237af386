from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mlkit.data.pipeline import finish
from mlkit.data.source import Source
from mlkit.data.synthetic import adding, bars, blobs, copy, spirals
from mlkit.errors import ConfigError

ALL: list[Callable[..., Source]] = [blobs, spirals, bars, adding, copy]


@pytest.mark.parametrize("make", ALL)
def test_a_set_is_a_pure_function_of_its_seed(make: Callable[..., Source]) -> None:
    before = torch.get_rng_state()
    one, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.inputs[0], again.inputs[0])
    assert torch.equal(one.targets, again.targets)
    assert not torch.equal(one.inputs[0], other.inputs[0])


@pytest.mark.parametrize("make", ALL)
def test_a_set_is_as_large_as_asked_for_and_becomes_a_bundle(make: Callable[..., Source]) -> None:
    source = make(examples=77)
    assert len(source.targets) == len(source.inputs[0]) == 77
    bundle = finish(source)
    assert tuple(bundle.task.input_shape) == tuple(source.inputs[0].shape[1:])


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_blobs_are_centred_at_least_4_apart_with_the_spread_asked_for(num_classes: int) -> None:
    source = blobs(examples=6000, num_classes=num_classes, features=3, spread=0.5, seed=3)
    clouds = [source.inputs[0][source.targets == label] for label in range(num_classes)]
    centres = torch.stack([cloud.mean(dim=0) for cloud in clouds])
    distance = torch.cdist(centres, centres) + 100 * torch.eye(num_classes)
    assert float(distance.min()) == pytest.approx(4.0, abs=0.15)
    for cloud in clouds:
        torch.testing.assert_close(cloud.std(dim=0), torch.full((3,), 0.5), atol=0.05, rtol=0)


def test_blobs_are_solved_by_a_linear_model() -> None:
    source = blobs(num_classes=5)
    x = torch.cat([source.inputs[0], torch.ones(1000, 1)], dim=1)
    centres = torch.stack([source.inputs[0][source.targets == label].mean(dim=0) for label in range(5)])
    weights = torch.cat([centres, -0.5 * centres.square().sum(dim=1, keepdim=True)], dim=1)  # the nearest centre
    assert float(((x @ weights.T).argmax(dim=1) == source.targets).float().mean()) > 0.999


@pytest.mark.parametrize("num_classes", [2, 4])
def test_spirals_without_noise_lie_on_their_arm(num_classes: int) -> None:
    source = spirals(num_classes=num_classes, turns=1.5, noise=0.0)
    x, y = source.inputs[0].double(), source.targets
    radius = x.norm(dim=1)
    assert float(radius.min()) >= 0.1 - 1e-6
    assert float(radius.max()) <= 1 + 1e-6
    wound = torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi) - 1.5 * radius - y / num_classes
    torch.testing.assert_close(wound - wound.round(), torch.zeros_like(wound), atol=1e-5, rtol=0)


def test_spirals_leave_a_linear_model_little_better_than_chance_and_neighbours_agree() -> None:
    source = spirals(examples=1000, seed=1)
    x, y = source.inputs[0], source.targets
    design = torch.cat([x, torch.ones(1000, 1)], dim=1)
    fitted = design @ torch.linalg.lstsq(design, 2.0 * y[:, None] - 1).solution
    assert float(((fitted[:, 0] > 0).long() == y).float().mean()) < 0.7
    distance = torch.cdist(x, x) + 100 * torch.eye(1000)
    assert float((y[distance.argmin(dim=1)] == y).float().mean()) > 0.98


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Threads that wait for one another on a busy machine make a tiny model a hundred times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
def test_spirals_are_solved_by_one_hidden_layer() -> None:
    source = spirals(examples=400)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(600):
        optimizer.zero_grad()
        F.cross_entropy(model(source.inputs[0]), source.targets).backward()
        optimizer.step()
    assert float((model(source.inputs[0]).argmax(dim=1) == source.targets).float().mean()) > 0.99


def test_bars_are_solved_by_two_filters_of_one_convolution_and_the_highest_answer() -> None:
    source = bars(examples=500, size=28, noise=0.1)
    x = source.inputs[0].float()
    across = F.conv2d(x, torch.ones(1, 1, 1, 15)).amax(dim=(1, 2, 3))
    down = F.conv2d(x, torch.ones(1, 1, 15, 1)).amax(dim=(1, 2, 3))
    assert bool(((down > across).long() == source.targets).all())


def test_a_bar_runs_along_the_rows_or_columns_of_its_class() -> None:
    source = bars(examples=40, size=18, noise=0.0)
    for image, label in zip(source.inputs[0][:, 0], source.targets, strict=True):
        lit = image == round(255 * 0.9)
        assert bool((lit | (image == round(255 * 0.1))).all())
        across = lit if label == 0 else lit.T
        assert bool((across.all(dim=1) == across.any(dim=1)).all())  # whole lines only
        lines = torch.where(across.all(dim=1))[0]
        assert lines.tolist() == list(range(int(lines[0]), int(lines[0]) + 2))


def test_bars_stand_everywhere_and_stay_bytes() -> None:
    source = bars(examples=2000, size=6, noise=0.0)
    assert source.inputs[0].dtype == torch.uint8
    for label in (0, 1):
        lit = source.inputs[0][source.targets == label, 0] > 100
        positions = lit.any(dim=2 if label == 0 else 1).int().argmax(dim=1)
        assert sorted(set(positions.tolist())) == list(range(6))


def test_the_adding_problem_asks_for_the_sum_at_the_marked_steps() -> None:
    source = adding(examples=300, length=11)
    values = source.inputs[0].numpy()
    for series, target in zip(values, source.targets[:, 0].tolist(), strict=True):
        marked = [step for step in range(11) if series[step, 1] == 1]
        assert len(marked) == 2
        assert marked[0] < 5 <= marked[1]
        assert target == pytest.approx(float(series[marked[0], 0]) + float(series[marked[1], 0]))
    assert set(np.unique(values[:, :, 1])) == {0.0, 1.0}
    assert 0 <= values[:, :, 0].min() <= values[:, :, 0].max() <= 1


def test_always_answering_one_to_the_adding_problem_errs_by_a_sixth() -> None:
    targets = adding(examples=40_000, length=10).targets
    assert float((targets - 1).square().mean()) == pytest.approx(1 / 6, abs=0.004)


@pytest.mark.parametrize(("memory", "delay"), [(5, 10), (1, 0), (3, 0), (1, 7)])
def test_the_copy_task_asks_for_the_word_after_the_signal(memory: int, delay: int) -> None:
    source = copy(examples=50, symbols=4, memory=memory, delay=delay)
    x, y = source.inputs[0], source.targets
    assert x.shape == y.shape == (50, 2 * memory + delay)
    assert bool((x[:, :memory] < 4).all())
    assert torch.equal(y[:, -memory:], x[:, :memory])
    assert bool((y[:, :-memory] == 4).all())
    signal = (x == 5).nonzero()
    assert signal.tolist() == [[row, memory + delay] for row in range(50)]  # one signal, as the first answer is due
    assert bool((x[:, memory : memory + delay] == 4).all())


def test_the_symbols_of_the_copy_task_are_even_and_independent() -> None:
    words = copy(examples=40_000, symbols=3, memory=2, delay=0).inputs[0][:, :2]
    for pair in itertools.product(range(3), repeat=2):
        share = float((words == torch.tensor(pair)).all(dim=1).float().mean())
        assert share == pytest.approx(1 / 9, abs=0.008)


@pytest.mark.parametrize(
    ("make", "settings", "named"),
    [
        (blobs, {"num_classes": 1, "features": 1}, ["num_classes", "features"]),
        (blobs, {"spread": -1.0}, ["spread"]),
        (spirals, {"examples": 0, "noise": float("nan")}, ["examples", "noise"]),
        (bars, {"size": 3, "noise": -0.1}, ["size", "noise"]),
        (adding, {"length": 3}, ["length"]),
        (copy, {"symbols": 1, "memory": 0, "delay": -1}, ["symbols", "memory", "delay"]),
    ],
)
def test_settings_that_are_too_small_are_refused_together(
    make: Callable[..., Source], settings: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**settings)
    assert [problem.what for problem in caught.value.problems] == [f"data.{name} is too small" for name in named]
