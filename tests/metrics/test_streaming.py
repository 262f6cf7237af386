from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mlkit.errors import DataError, ModelError
from mlkit.metrics.auc import AUC
from mlkit.metrics.classification import F1, Accuracy, BalancedAccuracy, ConfusionMatrix, TopK
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.losses import CrossEntropy, SquaredError, TokenCrossEntropy
from mlkit.metrics.regression import MAE, R2, RMSE
from mlkit.metrics.streaming import Loss, Metric, Ratio, Sums
from mlkit.metrics.tokens import Perplexity, TokenAccuracy

COUNT = 60


@dataclass(frozen=True)
class Case:
    """A metric and 60 examples for it."""

    make: Callable[[], Metric]
    output: Tensor
    target: Tensor


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cases() -> dict[str, Case]:
    classes = torch.randint(4, (COUNT,), generator=torch.Generator().manual_seed(1))
    logits = normal(COUNT, 4) + F.one_hot(classes, 4)
    soft = 0.8 * F.one_hot(classes, 4) + 0.05
    some = classes.where(torch.arange(COUNT) % 7 > 0, -100)
    binary, z = (classes > 1).long(), logits[:, 2:].sum(1) - logits[:, :2].sum(1)
    numbers, truth = normal(COUNT, 2), normal(COUNT, 2, seed=2)
    tokens = torch.randint(5, (COUNT, 6), generator=torch.Generator().manual_seed(3))
    padded = tokens.where(torch.arange(6) < 1 + torch.arange(COUNT)[:, None] % 6, -100)
    scores = normal(COUNT, 6, 5) + F.one_hot(tokens, 5)
    return {
        "accuracy": Case(Accuracy, logits, classes),
        "accuracy, soft": Case(Accuracy, logits, soft),
        "accuracy, some": Case(Accuracy, logits, some),
        "accuracy, one logit": Case(Accuracy, z, binary),
        "top2": Case(lambda: TopK(2), logits, classes),
        "balanced": Case(lambda: BalancedAccuracy(4), logits, some),
        "f1": Case(lambda: F1(4), logits, classes),
        "f1, one logit": Case(lambda: F1(2), z[:, None], binary),
        "auc": Case(AUC, logits, some),
        "auc, one logit": Case(AUC, z, binary),
        "mae": Case(lambda: MAE((2.0, 3.0)), numbers, truth),
        "rmse": Case(lambda: RMSE((2.0, 3.0)), numbers, truth),
        "r2": Case(R2, numbers, truth),
        "tokens": Case(TokenAccuracy, scores, padded),
        "perplexity": Case(lambda: Perplexity(5), scores, padded),
        "loss": Case(lambda: Loss(CrossEntropy(4)), logits, classes),
        "loss, some": Case(lambda: Loss(CrossEntropy(4)), logits, some),
        "loss, soft": Case(lambda: Loss(CrossEntropy(4, 0.1)), logits, soft),
        "loss, one logit": Case(lambda: Loss(CrossEntropy(2)), z, binary),
        "loss, numbers": Case(lambda: Loss(SquaredError()), numbers, truth),
        "loss, tokens": Case(lambda: Loss(TokenCrossEntropy(5)), scores, padded),
        "loss, plain": Case(lambda: Loss(nn.CrossEntropyLoss()), logits, classes),
    }


CASES = cases()
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def fed(metric: Metric, output: Tensor, target: Tensor, sizes: list[int] | None = None) -> Metric:
    sizes = sizes or [len(output)]
    for x, y in zip(torch.split(output, sizes), torch.split(target, sizes), strict=True):
        metric.update(x, y)
    return metric


def numbers(estimate: Estimate) -> list[float]:
    return [x for x in (estimate.value, estimate.low, estimate.high) if x is not None]


def assert_same(first: Estimate, second: Estimate) -> None:
    assert (first.count, first.method) == (second.count, second.method)
    # Totals are in double, the loss of one example in single precision.
    assert numbers(first) == pytest.approx(numbers(second), rel=1e-6)


@every
def test_ragged_batches_are_like_one(case: Case) -> None:
    whole = fed(case.make(), case.output, case.target).compute()
    assert math.isfinite(whole.value)
    for sizes in ([1] * COUNT, [7] * 8 + [4], [1, 59], [0, 30, 0, 30]):
        assert_same(fed(case.make(), case.output, case.target, sizes).compute(), whole)


@every
def test_the_order_of_examples_and_of_batches_does_not_matter(case: Case) -> None:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(4))
    shuffled = fed(case.make(), case.output[order], case.target[order], [13] * 4 + [8])
    assert_same(shuffled.compute(), fed(case.make(), case.output, case.target).compute())


@every
def test_computing_does_not_disturb_and_reset_forgets(case: Case) -> None:
    metric = fed(case.make(), case.output[:20], case.target[:20])
    metric.compute()
    assert_same(fed(metric, case.output[20:], case.target[20:]).compute(), metric.compute())
    assert_same(metric.compute(), fed(case.make(), case.output, case.target).compute())
    metric.reset()
    assert metric.state() == {}
    assert_same(fed(metric, case.output, case.target).compute(), fed(case.make(), case.output, case.target).compute())


@every
def test_an_empty_split_is_an_error_with_advice(case: Case) -> None:
    for metric in (case.make(), fed(case.make(), case.output[:0], case.target[:0])):
        with pytest.raises(DataError) as caught:
            metric.compute()
        (problem,) = caught.value.problems
        assert problem.what == f"{metric.name} of an empty split"
        assert problem.received == "0 examples"
        assert problem.allowed == "at least one example"
        assert problem.todo is not None
        assert "validation share" in problem.todo


@every
def test_the_interval_holds_the_value(case: Case) -> None:
    estimate = fed(case.make(), case.output, case.target).compute()
    if estimate.low is None or estimate.high is None:
        assert estimate.method == "none: the losses of single examples are not known"
    else:
        assert estimate.low < estimate.value < estimate.high


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_outputs_are_judged_like_the_same_numbers_in_single(case: Case, dtype: torch.dtype) -> None:
    narrow = case.output.to(dtype)
    assert_same(
        fed(case.make(), narrow, case.target).compute(), fed(case.make(), narrow.float(), case.target).compute()
    )


@every
def test_nothing_is_changed_and_no_graph_is_kept(case: Case) -> None:
    output, target = case.output.clone().requires_grad_(), case.target.clone()
    metric = fed(case.make(), output, target)
    assert torch.equal(output, case.output)
    assert torch.equal(target, case.target)
    assert not any(x.requires_grad for x in metric.state().values())


@every
def test_an_output_buffer_may_be_written_again(case: Case) -> None:
    output, target = torch.empty_like(case.output[:20]), torch.empty_like(case.target[:20])
    metric = case.make()
    for x, y in zip(torch.split(case.output, 20), torch.split(case.target, 20), strict=True):
        metric.update(output.copy_(x), target.copy_(y))
    assert_same(metric.compute(), fed(case.make(), case.output, case.target).compute())


@every
def test_batches_may_come_from_inside_and_outside_inference_mode(case: Case) -> None:
    metric = case.make()
    for number, (x, y) in enumerate(zip(torch.split(case.output, 20), torch.split(case.target, 20), strict=True)):
        with torch.inference_mode(number != 1):
            metric.update(x.clone(), y.clone())
    assert_same(metric.compute(), fed(case.make(), case.output, case.target).compute())


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for a device: to read a value, a size that follows from values, a list to copy.

    On a CPU nothing waits, so the calls themselves are refused.
    """

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique", "unique", "bincount", "equal", "lift_fresh")

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().removeprefix("aten::").partition(".")[0]
        by_mask = name in ("index", "index_put", "index_put_") and any(
            x is not None and x.dtype == torch.bool for x in args[1]
        )
        if by_mask or name.startswith(self.WAITS):
            raise AssertionError(f"{function} waits for the device")
        return function(*args, **(kwargs or {}))


def test_what_waits_is_noticed() -> None:
    x = torch.arange(3.0)
    for wait in (x.sum().item, lambda: bool(x[0] > 1), x.nonzero, lambda: x[x > 1], lambda: torch.tensor([1.0]).add(x)):
        with pytest.raises(AssertionError, match="waits for the device"), NoWaiting():
            wait()


@every
def test_update_never_waits_for_the_device(case: Case) -> None:
    metric = case.make()
    with NoWaiting():
        fed(metric, case.output, case.target, [30, 30])
    assert math.isfinite(metric.compute().value)


@every
def test_update_and_state_work_on_a_device_that_has_no_values_to_read(case: Case) -> None:
    metric = fed(case.make(), case.output.to("meta"), case.target.to("meta"), [30, 30])
    assert metric.state()
    assert {x.device.type for x in metric.state().values()} == {"meta"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every
def test_on_a_gpu_the_same_comes_out_and_update_does_not_wait(case: Case) -> None:
    output, target, metric = case.output.cuda(), case.target.cuda(), case.make()
    fed(metric, output, target)
    metric.reset()
    torch.cuda.set_sync_debug_mode("error")
    try:
        fed(metric, output, target, [30, 30])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert {x.device.type for x in metric.state().values()} == {"cuda"}
    ours, expected = metric.compute(), fed(case.make(), case.output, case.target).compute()
    assert numbers(ours) == pytest.approx(numbers(expected), rel=1e-5)


def test_a_confusion_matrix_works_on_a_device_that_has_no_values_to_read() -> None:
    matrix = ConfusionMatrix(4)
    with NoWaiting():
        matrix.update(CASES["f1"].output, CASES["f1"].target)
    assert int(matrix.matrix().sum()) == COUNT
    matrix.reset()
    matrix.update(CASES["f1"].output.to("meta"), CASES["f1"].target.to("meta"))
    assert matrix.state()["counts"].is_meta


def test_sums_add_up_in_double() -> None:
    sums = Sums()
    for _ in range(3):
        sums.add(torch.full((1000,), 0.1), torch.ones(1000, dtype=torch.bool))
    total, ones = sums.read("x")
    assert total == pytest.approx(3000 * float(torch.tensor(0.1)), rel=1e-12)
    assert ones == sums.count == int(sums.state()["count"]) == 3000


def test_a_ratio_has_the_mean_and_its_variance_where_the_wholes_are_one() -> None:
    values, ratio = normal(50).double(), Ratio()
    ratio.add(values, torch.ones(50))
    mean, variance, count = ratio.read("x")
    assert (mean, variance, count) == pytest.approx((float(values.mean()), float(values.var()) / 50, 50))


def test_the_variance_of_a_ratio_is_that_of_many_draws() -> None:
    stream, ratios, variances = torch.Generator().manual_seed(0), [], []
    for _ in range(1500):
        ratio = Ratio()
        wholes = torch.randint(1, 20, (60,), generator=stream)
        ratio.add(wholes * (0.7 + 0.2 * torch.randn(60, generator=stream)), wholes)
        value, variance, _ = ratio.read("x")
        ratios.append(value)
        variances.append(variance)
    spread = torch.tensor(ratios).var()
    assert float(torch.tensor(variances).mean()) == pytest.approx(float(spread), rel=0.1)


def test_the_loss_is_the_mean_over_examples_with_students_interval() -> None:
    case = CASES["loss"]
    each = F.cross_entropy(case.output, case.target, reduction="none").double()
    loss = fed(case.make(), case.output, case.target).compute()
    half = 2.0010 * float(each.std()) / math.sqrt(COUNT)  # the 97.5 % point with 59 degrees of freedom
    mean = float(each.mean())
    assert (loss.value, loss.low, loss.high) == pytest.approx((mean, mean - half, mean + half), rel=1e-4)
    assert (loss.count, loss.method) == (COUNT, "student")


def test_a_plain_loss_function_is_weighted_by_examples_and_has_no_interval() -> None:
    case = CASES["loss, plain"]
    loss = fed(case.make(), case.output, case.target, [50, 9, 1]).compute()
    assert loss.value == pytest.approx(float(F.cross_entropy(case.output, case.target)))
    assert (loss.low, loss.high) == (None, None)
    assert loss.method == "none: the losses of single examples are not known"


def test_a_loss_of_every_example_is_taken_as_it_is() -> None:
    case = CASES["loss, plain"]
    loss = fed(Loss(nn.CrossEntropyLoss(reduction="none")), case.output, case.target, [50, 10]).compute()
    assert loss.value == pytest.approx(float(F.cross_entropy(case.output, case.target)))


def test_a_loss_that_is_not_one_number_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        Loss(nn.MSELoss(reduction="none")).update(torch.zeros(4, 3), torch.zeros(4, 3))
    (problem,) = caught.value.problems
    assert problem.what == "the loss function does not give one number"
    assert problem.received == "a loss of shape (4, 3) for 4 examples"
    assert problem.allowed == "(), the mean over the batch"
    assert problem.todo is not None
    assert 'reduction="mean"' in problem.todo


class MeanInsteadOfEach:
    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs().mean()

    per_example = __call__


def test_a_loss_by_example_that_is_not_one_number_an_example_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"received: a loss of shape \(\) for 4 examples\n  allowed:  \(4,\), one loss"
    ):
        Loss(MeanInsteadOfEach()).update(torch.zeros(4), torch.zeros(4))


class MeanOfNothing:
    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self.per_example(output, target).mean()

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        return (output * target).sum(1) / self.terms(target)

    def terms(self, target: Tensor) -> Tensor:
        return target.sum(1)


def test_an_example_without_a_term_may_have_no_loss() -> None:
    target = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    loss = fed(Loss(MeanOfNothing()), torch.tensor([[3.0, 5.0], [7.0, 7.0], [4.0, 9.0]]), target).compute()
    assert loss.value == pytest.approx((3 + 5 + 4) / 3)
    assert loss.count == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_told_without_interval(bad: float) -> None:
    case = CASES["loss, numbers"]
    output = case.output.clone()
    output[3] = bad
    loss = fed(case.make(), output, case.target).compute()
    assert not math.isfinite(loss.value)
    assert (loss.low, loss.count, loss.method) == (None, COUNT, "none: some values are not finite")


def test_a_loss_of_marked_examples_alone_is_undefined() -> None:
    loss = fed(Loss(CrossEntropy(3)), torch.zeros(4, 3), torch.full((4,), -100)).compute()
    assert math.isnan(loss.value)
    assert loss.method == "undefined: no target counts"


def test_one_example_has_a_loss_without_interval() -> None:
    loss = fed(Loss(CrossEntropy(3)), torch.zeros(1, 3), torch.tensor([1])).compute()
    assert loss.value == pytest.approx(math.log(3))
    assert (loss.low, loss.method) == (None, "none: a single example")
