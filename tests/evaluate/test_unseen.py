from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mlkit.errors import ConfigError, DataError, ModelError
from mlkit.evaluate.learners import Job
from mlkit.evaluate.unseen import out_of_half, unseen_predictions

Predict = Callable[[np.ndarray], np.ndarray]


def remembers(x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
    seen = set(x[:, 0].tolist())
    return lambda rows: np.stack([[0.0, 1.0] if one in seen else [1.0, 0.0] for one in rows[:, 0].tolist()])


@pytest.mark.parametrize("n", [30, 31])
def test_a_row_is_never_judged_by_a_model_that_saw_it(n: int) -> None:
    x = np.arange(n, dtype=float)[:, None]
    found = unseen_predictions(remembers, (x, np.arange(n) % 2), outputs="probabilities")
    assert found == pytest.approx(np.tile([1.0, 0.0], (n, 1)))


def test_every_row_gets_one_model_of_each_partition() -> None:
    """A model that says its own number: the mean of as many numbers as there are partitions."""
    count = 0

    def numbered(x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
        nonlocal count
        count += 1
        own = count / 100
        return lambda rows: np.tile([own, 1 - own], (len(rows), 1))

    found = unseen_predictions(numbered, (np.zeros((20, 1)), np.arange(20) % 2), outputs="probabilities", partitions=2)
    assert count == 4
    assert set(np.round(found[:, 0] * 200).astype(int)) <= {4, 5, 6}


def test_a_learner_that_trains_all_at_once_is_asked_once() -> None:
    class Together:
        calls = 0

        def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> Predict:
            raise AssertionError

        def fit_many(self, x: np.ndarray, y: np.ndarray, jobs: Sequence[Job]) -> list[Predict]:
            self.calls += 1
            return [remembers(x[job.rows], y[job.rows], job.seed) for job in jobs]

    learner = Together()
    x = np.arange(12, dtype=float)[:, None]
    found = unseen_predictions(learner, (x, np.arange(12) % 2), outputs="probabilities")
    assert learner.calls == 1
    assert found[:, 0] == pytest.approx(1.0)


def test_bad_input_is_refused() -> None:
    data = (np.arange(8.0)[:, None], np.arange(8) % 2)
    with pytest.raises(ConfigError, match="too few partitions"):
        unseen_predictions(remembers, data, outputs="probabilities", partitions=0)
    with pytest.raises(ModelError, match="cannot be probabilities"):
        unseen_predictions(lambda x, y, seed: lambda rows: np.ones((len(rows), 2)), data, outputs="probabilities")


def test_models_of_all_rows_judge_none_and_every_row_needs_one() -> None:
    def says(own: float) -> Predict:
        return lambda rows: np.tile([own, 1 - own], (len(rows), 1))

    halves = [(Job(np.array([0, 1]), 0), says(0.2)), (Job(np.array([2, 3]), 0), says(0.6))]
    whole = (Job(np.arange(4), 0), says(0.9))
    found = out_of_half([*halves, whole], np.zeros((4, 1)), rows=4, outputs="probabilities")
    assert found[:, 0] == pytest.approx([0.6, 0.6, 0.2, 0.2])
    with pytest.raises(DataError, match="trained on by every model"):
        out_of_half([halves[0], whole], np.zeros((4, 1)), rows=4, outputs="probabilities")
