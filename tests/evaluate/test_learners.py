from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlkit.evaluate as ev
from mlkit.errors import ConfigError
from mlkit.evaluate.learners import Job, Predictor, take
from mlkit.runtime import rng
from tests.evaluate.worlds import assert_close


class Flat(nn.Module):
    """A linear model without intercept that starts at 0, so that full-batch descent has a closed form."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.line = nn.Linear(inputs, 1, bias=False)
        nn.init.zeros_(self.line.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)  # type: ignore[no-any-return]


def _fixed_design(rng: np.random.Generator, n: int, p: int) -> np.ndarray:
    return np.sqrt(n) * np.linalg.qr(rng.normal(size=(n, p)))[0]


def _descent(p: int, n: int, rate: float, steps: int) -> ev.Trained:
    return ev.Trained(
        lambda seed: Flat(p), max_epochs=steps, batch_size=n, optimizer="sgd", lr=rate, momentum=0.0, device="cpu"
    )


def test_c7_one_run_of_the_engine_is_the_closed_form() -> None:
    """Weights are ``1 - (1 - 2 rate) ** steps`` of least squares: torch's mean squared error has no 1/2."""
    rng = np.random.default_rng(7)
    n, p, rate, steps = 32, 4, 0.05, 9
    x = _fixed_design(rng, n, p)
    y = x @ rng.normal(size=p) + rng.normal(size=n)
    predict = _descent(p, n, rate, steps)(torch.from_numpy(x), torch.from_numpy(y[:, None]), 3)
    shrink = 1 - (1 - 2 * rate) ** steps
    expected = shrink * x @ (x.T @ y / n)
    assert predict(torch.from_numpy(x)).numpy()[:, 0] == pytest.approx(expected, abs=1e-5)  # in float32


@pytest.mark.slow
def test_c7_bias_and_variance_of_full_batch_descent_through_the_engine() -> None:
    rng = np.random.default_rng(70)
    n, p, rate, steps, s2 = 32, 4, 0.05, 9, 0.5
    x, beta, x_test = _fixed_design(rng, n, p), rng.normal(size=p), rng.normal(size=(60, p))
    learner, x_torch = _descent(p, n, rate, steps), torch.from_numpy(x)
    bias, variance = [], []
    for _ in range(30):
        table = []
        for _ in range(6):
            y = x @ beta + s2**0.5 * rng.normal(size=n)
            table.append(learner(x_torch, torch.from_numpy(y[:, None]), 0)(torch.from_numpy(x_test)).numpy())
        found = ev.decompose_predictions(np.stack(table), x_test @ beta, loss="squared", noise=0.0)
        bias.append(found.term("bias²").value)
        variance.append(found.term("variance").value)
    shrink = 1 - (1 - 2 * rate) ** steps
    assert_close(bias, float(np.mean((1 - shrink) ** 2 * (x_test @ beta) ** 2)))
    assert_close(variance, float(np.mean(s2 * shrink**2 * (x_test**2).sum(1) / n)))


def _blobs(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (n,), generator=draw)
    return torch.randn(n, 4, generator=draw) + 2 * torch.nn.functional.one_hot(y, 4), y


def _mlp(seed: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def _plain(seed: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def test_the_seed_decides_weights_order_and_dropout() -> None:
    learner, (x, y) = ev.Trained(_mlp, max_epochs=2, lr=0.01), _blobs(60)
    first, again, other = learner(x, y, 1)(x), learner(x, y, 1)(x), learner(x, y, 2)(x)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_the_users_own_streams_are_left_as_they_are_found() -> None:
    x, y = _blobs(40)
    with rng.preserved():
        before = torch.random.get_rng_state()
        ev.Trained(_mlp, max_epochs=1)(x, y, 1)
        assert torch.equal(before, torch.random.get_rng_state())
        learner = ev.Trained(_mlp, max_epochs=1)
        learner.fit_many(x, y, [Job(np.arange(20), 0), Job(np.arange(20, 40), 1)])
        assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("options", [{"max_epochs": 3}, {"max_epochs": None, "max_steps": 7}], ids=str)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_all_at_once_is_each_alone(options: dict[str, Any], optimizer: Any) -> None:
    x, y = _blobs(70)
    learner = ev.Trained(_plain, batch_size=16, lr=0.01, optimizer=optimizer, weight_decay=0.01, **options)
    jobs = [Job(np.arange(0, 70, 2), 5), Job(np.arange(1, 70, 2), 6), Job(np.arange(70), 7), Job(np.arange(70), 8)]
    together = learner.fit_many(x, y, jobs)
    assert len(together) == len(jobs)
    for job, predict in zip(jobs, together, strict=True):
        alone = learner(take(x, job.rows), take(y, job.rows), job.seed)
        torch.testing.assert_close(predict(x), alone(x), rtol=1e-4, atol=1e-5)


def test_a_schedule_and_several_epochs_of_halves_are_each_alone() -> None:
    x, y = _blobs(66)
    learner = ev.Trained(_plain, batch_size=16, lr=0.02, max_epochs=3, schedule="cosine")
    jobs = [Job(np.arange(33), 5), Job(np.arange(33, 66), 5)]
    for job, predict in zip(jobs, learner.fit_many(x, y, jobs), strict=True):
        alone = learner(take(x, job.rows), take(y, job.rows), job.seed)
        torch.testing.assert_close(predict(x), alone(x), rtol=1e-4, atol=1e-5)


def test_decompose_is_the_same_together_or_one_by_one() -> None:
    data, test = _blobs(80), _blobs(40, seed=1)
    learner = ev.Trained(_plain, max_epochs=3, lr=0.02)
    together = ev.decompose(learner, data, test=test, size="quick", full=True)
    alone = ev.decompose(lambda x, y, seed: learner(x, y, seed), data, test=test, size="quick", full=True)
    for one, other in zip((*together.terms, *together.extra), (*alone.terms, *alone.extra), strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-3, abs=1e-5)


def test_inputs_of_several_tensors_and_arrays() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(4, 3)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.line(torch.cat([a, b], 1))  # type: ignore[no-any-return]

    x, y = _blobs(40)
    parts = (x[:, :2], x[:, 2:])
    learner = ev.Trained(lambda seed: Two(), max_epochs=1)
    jobs = [Job(np.arange(20), 0), Job(np.arange(20, 40), 1)]
    assert [predict(parts).shape for predict in learner.fit_many(parts, y, jobs)] == [(40, 3)] * 2
    assert learner(parts, y, 0)(parts).shape == (40, 3)
    as_arrays = ev.Trained(_mlp, max_epochs=1)
    (predict, _) = as_arrays.fit_many(x.numpy(), y.numpy(), jobs)
    torch.testing.assert_close(predict(x.numpy()), predict(x))


def test_numbers_are_trained_on_squared_error() -> None:
    x, _ = _blobs(60)
    y = x.sum(1, keepdim=True)
    found = ev.decompose(
        ev.Trained(lambda seed: nn.Linear(4, 1), max_epochs=60, lr=0.05),
        (x, y),
        test=(x, y),
        loss="squared",
        size="quick",
    )
    assert found.total.value < 0.1 * float(y.var())


def test_a_model_that_diverges_is_told_not_hidden() -> None:
    x, y = _blobs(40)
    learner = ev.Trained(lambda seed: nn.Linear(4, 1), max_epochs=20, lr=1e8, optimizer="sgd")
    with pytest.raises(Exception, match=r"diverged|not finite|infinite|nan"):
        ev.decompose(learner, (x, y[:, None].float()), test=(x, y[:, None].float()), loss="squared", size="quick")


def test_epochs_and_steps_together_end_at_the_first() -> None:
    x, y = _blobs(20)
    jobs = [Job(np.arange(10), 0), Job(np.arange(10, 20), 0)]
    for epochs, steps, alike in ((2, 3, {"max_steps": 3}), (2, 40, {"max_epochs": 2})):
        learner = ev.Trained(_plain, batch_size=4, max_epochs=epochs, max_steps=steps)
        same = ev.Trained(_plain, batch_size=4, **{"max_epochs": None, **alike})
        torch.testing.assert_close(learner.fit_many(x, y, jobs)[0](x), same(x[:10], y[:10], 0)(x), rtol=1e-4, atol=1e-5)


def test_how_long_must_be_said() -> None:
    with pytest.raises(ConfigError, match="it is not said how long to train"):
        ev.Trained(_plain, max_epochs=None)


def test_predictions_are_made_in_evaluation_mode_and_modes_restored() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9)).train()
    predict = Predictor(model, torch.device("cpu"), batch_size=7)
    x, _ = _blobs(30)
    torch.testing.assert_close(predict(x), model[0](x).detach())
    assert model.training
    assert model[1].training


def test_take() -> None:
    rows = np.array([2, 0])
    assert take([5, 6, 7], rows).tolist() == [7, 5]
    assert take(torch.arange(3), rows).tolist() == [2, 0]
    assert [part.tolist() for part in take((np.arange(3), torch.arange(3)), rows)] == [[2, 0], [2, 0]]
