from __future__ import annotations

import pytest
import torch

from mlkit.models import build, choose, example_inputs
from mlkit.task import Task

TASKS = [
    Task("classification", "image", (3, 12, 20), num_outputs=4),
    Task("regression", "vector", (5,), num_outputs=2),
    Task("classification", "table", (3,), num_outputs=2, cardinalities=(4, 9)),
    Task("classification", "table", (0,), num_outputs=2, cardinalities=(4,)),
    Task("classification", "series", (11, 3), num_outputs=4, has_lengths=True),
    Task("regression", "series", (11, 3), num_outputs=4),
    Task("classification", "tokens", (9,), num_outputs=3, vocab_size=7, has_lengths=True),
    Task("next_token", "tokens", (9,), num_outputs=7, vocab_size=7),
    Task("regression", "other", (2, 3, 4), num_outputs=1),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.input_kind}-{task.kind}")
def test_the_model_of_a_task_takes_its_example(task: Task) -> None:
    model = build(choose(task), task, seed=0)
    output = model(*example_inputs(task, batch_size=3))
    steps = task.input_shape if task.kind == "next_token" else ()
    assert output.shape == (3, *steps, task.num_outputs)


def test_lengths_are_last_and_whole() -> None:
    series, lengths = example_inputs(TASKS[4])
    assert series.shape == (2, 11, 3)
    assert series.dtype == torch.float32
    assert lengths.tolist() == [11, 11]


def test_tokens_are_indices_on_the_device_asked_for() -> None:
    (tokens,) = example_inputs(TASKS[7], device="meta")
    assert tokens.dtype == torch.int64
    assert tokens.device.type == "meta"
