from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from mlkit.errors import ModelError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.regression import MAE, R2, RMSE
from mlkit.metrics.streaming import Metric

METRICS = [MAE, RMSE, R2]


def problem(count: int, columns: int = 1, seed: int = 0, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    output = torch.randn(count, columns, generator=stream)
    return output, output + noise * torch.randn(count, columns, generator=stream)


def estimate(metric: Metric, output: Tensor, target: Tensor) -> Estimate:
    metric.update(output, target)
    return metric.compute()


@pytest.mark.parametrize("columns", [1, 4])
def test_as_scikit_learn_has_it(columns: int) -> None:
    output, target = problem(100, columns)
    assert estimate(MAE(), output, target).value == pytest.approx(sk.mean_absolute_error(target, output))
    expected = math.sqrt(sk.mean_squared_error(target, output))
    assert estimate(RMSE(), output, target).value == pytest.approx(expected)
    assert estimate(R2(), output, target).value == pytest.approx(sk.r2_score(target, output))


@pytest.mark.parametrize("make", METRICS)
def test_a_missing_last_axis_is_never_broadcast(make: type[MAE]) -> None:
    output, target = problem(20)
    expected = estimate(make(), output, target)
    for x, y in ((output[:, 0], target), (output, target[:, 0]), (output[:, 0], target[:, 0])):
        assert estimate(make(), x, y) == expected
    for x, y in ((output, target[:1]), (output[:10], target), (output, target.expand(20, 2))):
        with pytest.raises(ModelError, match="the model's output does not fit the targets"):
            make().update(x, y)


def test_errors_are_told_in_the_units_before_standardisation() -> None:
    output, target = problem(50, 2)
    mean, std = torch.tensor([5.0, -3.0]), torch.tensor([10.0, 0.2])
    plain_output, plain_target = output * std + mean, target * std + mean
    for make in (MAE, RMSE):
        ours = estimate(make(std=std.tolist()), output, target)
        expected = estimate(make(), plain_output, plain_target)
        assert (ours.value, ours.low, ours.high) == pytest.approx(
            (expected.value, expected.low, expected.high), rel=1e-4
        )


def test_r2_needs_no_unit() -> None:
    output, target = problem(50, 2)
    scale = torch.tensor([10.0, 0.2])
    ours, scaled = estimate(R2(), output, target), estimate(R2(), output * scale + 3, target * scale + 3)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((ours.value, ours.low, ours.high), rel=1e-4)


def test_of_a_forecast_the_last_axis_has_the_columns() -> None:
    output, target = torch.zeros(3, 4, 2), torch.ones(3, 4, 2)
    assert estimate(MAE((10.0, 100.0)), output, target).value == pytest.approx(55.0)


def test_targets_that_do_not_fit_the_standardisation_are_refused() -> None:
    with pytest.raises(ModelError) as caught:
        MAE((1.0, 2.0)).update(torch.zeros(4, 3), torch.zeros(4, 3))
    assert str(caught.value) == (
        "the targets do not fit the task's standardisation\n"
        "  received: 3 target columns\n"
        "  allowed:  a multiple of 2, the number of standard deviations"
    )


@pytest.mark.parametrize("make", METRICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_not_finite_give_no_interval_and_say_why(make: type[MAE], bad: float) -> None:
    output, target = problem(20)
    output[3] = bad
    ours = estimate(make(), output, target)
    assert not math.isfinite(ours.value)
    assert (ours.low, ours.high, ours.count) == (None, None, 20)
    assert "not finite" in ours.method


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
def test_r2_of_constant_targets_is_undefined(constant: float) -> None:
    output, target = problem(7, 2)
    target[:, 1] = constant
    ours = estimate(R2(), output, target)
    assert math.isnan(ours.value)
    assert (ours.method, ours.count) == ("undefined: a target column is constant", 7)


def test_r2_of_one_example_is_undefined() -> None:
    assert estimate(R2(), *problem(1)).method == "undefined: a target column is constant"


def test_r2_of_the_mean_is_0_and_below_it_for_worse() -> None:
    _, target = problem(30)
    assert estimate(R2(), target.mean().expand(30, 1), target).value == pytest.approx(0.0, abs=1e-6)
    worse = estimate(R2(), -5 * target, target)
    assert worse.value < -20
    assert worse.low is not None
    assert worse.low < worse.value


@pytest.mark.parametrize("make", METRICS)
def test_no_error_at_all_is_not_certain(make: type[MAE]) -> None:
    _, target = problem(30)
    ours = estimate(make(), target, target)
    assert ours.value == (1.0 if make is R2 else 0.0)
    if make is not MAE:
        assert (ours.low, ours.high, ours.method) == (None, None, "none: no error was seen")


@pytest.mark.parametrize("make", [MAE, RMSE])
def test_one_example_has_a_value_without_interval(make: type[MAE]) -> None:
    ours = estimate(make(), torch.tensor([3.0]), torch.tensor([1.0]))
    assert ours == Estimate(2.0, count=1, method="none: a single example")


def test_large_targets_do_not_drown_small_errors() -> None:
    output = torch.full((1000,), 1e6)
    target = output + torch.tensor([-0.25, 0.25]).repeat(500)
    assert estimate(MAE(), output, target).value == 0.25
    assert estimate(RMSE(), output, target).value == 0.25
    assert estimate(R2(), output, target).value == pytest.approx(0.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", METRICS)
def test_narrow_outputs_are_judged_in_full_precision(make: type[MAE], dtype: torch.dtype) -> None:
    output, target = problem(300)
    narrow = output.to(dtype)
    assert estimate(make(), narrow, target) == estimate(make(), narrow.float(), target)


@pytest.mark.parametrize(
    ("count", "noise", "tolerance"), [(20, 0.5, 0.05), (50, 0.5, 0.035), (200, 0.5, 0.03), (200, 3.0, 0.03)]
)
def test_intervals_cover_95_percent_of_normal_errors(count: int, noise: float, tolerance: float) -> None:
    truth = {"mae": noise * math.sqrt(2 / math.pi), "rmse": noise, "r2": 1 / (1 + noise**2)}
    hits: dict[str, list[bool]] = {name: [] for name in truth}
    for seed in range(500):
        output, target = problem(count, seed=seed, noise=noise)
        for metric in (MAE(), RMSE(), R2()):
            ours = estimate(metric, output, target)
            assert ours.low is not None
            assert ours.high is not None
            hits[metric.name].append(ours.low <= truth[metric.name] <= ours.high)
    for name in truth:
        assert np.mean(hits[name]) == pytest.approx(0.95, abs=tolerance), name


def test_several_columns_of_one_example_are_one_trial() -> None:
    one, _ = problem(40)
    target = one + torch.randn(40, 1, generator=torch.Generator().manual_seed(1))
    for make in METRICS:
        single, repeated = (estimate(make(), one.repeat(1, k), target.repeat(1, k)) for k in (1, 5))
        assert repeated.low == pytest.approx(single.low)
        assert repeated.count == 40
