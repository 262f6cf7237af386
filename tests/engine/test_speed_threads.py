from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.engine.speed_settings import Speed
from mlkit.engine.speed_threads import ThreadTimes, stalls, thread_counts, time_threads
from mlkit.engine.speed_trial import Trial, Work
from mlkit.runtime.threads import available_cores

WORK: dict[int, float] = {}
FIRST: dict[int, float] = {}
MADE: list[int] = []


class Worker(nn.Module):
    """A layer that works as long as `WORK` and, at the first call with so many threads, `FIRST` say."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        count = torch.get_num_threads()
        end = time.thread_time() + (0.0 if count in MADE else FIRST.get(count, 0.0)) + WORK.get(count, 0.0)
        while time.thread_time() < end:
            pass
        MADE.append(count)
        y: Tensor = self.linear(x)
        return y


def trial(work: dict[int, float], first: dict[int, float] | None = None) -> Trial:
    for table, values in ((WORK, work), (FIRST, first or {})):
        table.clear()
        table.update(values)
    MADE.clear()
    batch = Batch((torch.randn(8, 4),), torch.randint(0, 2, (8,)))
    task = Work(Worker(), batch, F.cross_entropy, lambda model: torch.optim.SGD(model.parameters(), lr=0.1))
    made = task.trial(Speed(threads=1))
    made.first_steps()
    return made


def always() -> bool:
    return True


def found_within_five(find: Callable[[], ThreadTimes], best: int) -> ThreadTimes:
    """What is found, tried again where other programs held up a step; skips where they leave no second core at all."""
    found = [find()]
    while found[-1].best != best and len(found) < 5:
        found.append(find())
    stalled = all(times.stalled is not None for times in found)
    if found[-1].best != best and (stalled or os.getloadavg()[0] > available_cores()):
        pytest.skip("the cores are busy")
    assert found[-1].best == best
    return found[-1]


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.95}, 1),
        ({1: 1.0, 2: 0.90}, 2),
        ({1: 1.0, 2: 0.5, 4: 0.47}, 2),
        ({1: 1.0, 2: 0.5, 4: 0.3, 8: 0.29}, 4),
        ({1: 1.0, 2: 70.0}, 1),
        ({1: 1.0, 2: 1.2, 4: 0.4}, 4),
        ({1: 4e-4, 2: 3e-4}, 1),
        ({1: 4e-4, 2: 2e-4}, 2),
        ({1: 1.1e-3, 2: 9e-4}, 2),
    ],
)
def test_the_fewest_threads_among_equals(seconds: dict[int, float], best: int) -> None:
    assert ThreadTimes(seconds).best == best


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (ThreadTimes({1: 1.0}), "1 thread"),
        (ThreadTimes({1: 1.0}, stalled=2), "1 thread (2 threads stall, the cores are busy)"),
        (ThreadTimes({1: 1.0, 2: 2.0}), "1 thread (2 threads 0.50x)"),
        (ThreadTimes({1: 1.0, 2: 1.1, 4: 0.99}), "1 thread (4 threads 1.01x)"),
        (ThreadTimes({1: 1.0, 2: 0.5, 4: 0.25}), "4 threads 4.00x"),
        (ThreadTimes({1: 1.0, 2: 0.5}, stalled=4), "2 threads 2.00x"),
        (ThreadTimes({1: 4e-4, 2: 3.2e-4}), "1 thread (2 threads 1.25x, too little for so short a step)"),
    ],
)
def test_the_choice_in_words(times: ThreadTimes, text: str) -> None:
    assert times.explanation == text


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, []), (2, [2]), (3, [2, 3]), (4, [2, 4]), (6, [2, 4, 6]), (64, [2, 4, 8, 16, 32, 64])]
)
def test_what_is_tried(cores: int, counts: list[int]) -> None:
    assert thread_counts(cores) == counts


def test_more_threads_that_help_are_taken() -> None:
    found = found_within_five(lambda: time_threads(trial({1: 0.02}), 2, has_time=always), best=2)
    assert set(found.seconds) == {1, 2}


def test_threads_that_hinder_are_not_taken_and_end_the_search() -> None:
    found = found_within_five(lambda: time_threads(trial({2: 0.02, 4: 0.02}), 4, has_time=always), best=1)
    assert 4 not in found.seconds
    assert found.explanation.startswith("1 thread (2 threads ")


def test_kernels_that_are_built_at_the_first_step_do_not_count() -> None:
    """With long steps, too: 0.16 s at first, then 0.06 s, against 0.12 s of one thread."""
    found_within_five(lambda: time_threads(trial({1: 0.12, 2: 0.06}, first={2: 0.1}), 2, has_time=always), best=2)


def test_nothing_is_made_without_time() -> None:
    one = trial({1: 0.002})
    made = len(MADE)
    found = time_threads(one, 8, has_time=lambda: False)
    assert found == ThreadTimes({1: one.seconds})
    assert len(MADE) == made


def test_a_single_core_leaves_no_choice() -> None:
    found = time_threads(trial({}), 1, has_time=always)
    assert (found.best, set(found.seconds), found.stalled) == (1, {1}, None)


def test_the_number_of_threads_is_put_back() -> None:
    before = torch.get_num_threads()
    time_threads(trial({}), 4, has_time=always)
    stalls(3)
    assert torch.get_num_threads() == before


def test_one_thread_does_not_wait_for_another() -> None:
    assert not all(stalls(1) for _ in range(5))
