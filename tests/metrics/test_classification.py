from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from mlkit.errors import DataError, ModelError
from mlkit.metrics.classification import F1, Accuracy, BalancedAccuracy, ConfusionMatrix, TopK
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import wilson
from mlkit.metrics.streaming import Metric


def problem(count: int, num_classes: int, seed: int = 0, skill: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits and classes, the rarer the higher the class."""
    stream = torch.Generator().manual_seed(seed)
    classes = torch.multinomial(0.6 ** torch.arange(num_classes), count, replacement=True, generator=stream)
    logits = torch.randn(count, num_classes, generator=stream)
    logits[torch.arange(count), classes] += skill
    return logits, classes


def value(metric: Metric, output: Tensor, target: Tensor) -> float:
    return estimate(metric, output, target).value


def estimate(metric: Metric, output: Tensor, target: Tensor) -> Estimate:
    metric.update(output, target)
    return metric.compute()


def matrix_of(counts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Logits and classes with this confusion matrix."""
    table = torch.tensor(counts)
    rows, columns = table.nonzero(as_tuple=True)
    times = table[rows, columns]
    guesses = torch.nn.functional.one_hot(columns.repeat_interleave(times), len(counts))
    return guesses.float(), rows.repeat_interleave(times)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_as_scikit_learn_has_it(num_classes: int, seed: int) -> None:
    logits, classes = problem(300, num_classes, seed)
    guess = logits.argmax(1)
    assert value(Accuracy(), logits, classes) == pytest.approx(sk.accuracy_score(classes, guess))
    expected = sk.balanced_accuracy_score(classes, guess)
    assert value(BalancedAccuracy(num_classes), logits, classes) == pytest.approx(expected)
    expected = sk.f1_score(classes, guess, average="binary" if num_classes == 2 else "macro")
    assert value(F1(num_classes), logits, classes) == pytest.approx(expected)
    matrix = ConfusionMatrix(num_classes)
    matrix.update(logits, classes)
    assert matrix.matrix().tolist() == sk.confusion_matrix(classes, guess, labels=range(num_classes)).tolist()


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_top_k_as_scikit_learn_has_it(k: int) -> None:
    logits, classes = problem(300, 10)
    expected = sk.top_k_accuracy_score(classes, logits, k=k, labels=range(10))
    assert value(TopK(k), logits, classes) == pytest.approx(expected)


def test_a_class_that_never_occurs_and_is_never_predicted_is_left_out_as_scikit_learn_does() -> None:
    logits, classes = matrix_of([[5, 2, 0, 0], [1, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3]])
    guess = logits.argmax(1)
    assert value(F1(4), logits, classes) == pytest.approx(sk.f1_score(classes, guess, average="macro"))
    expected = sk.balanced_accuracy_score(classes, guess)
    assert value(BalancedAccuracy(4), logits, classes) == pytest.approx(expected)


def test_a_class_that_is_predicted_but_never_occurs_counts_in_f1_alone() -> None:
    logits, classes = matrix_of([[5, 0, 2], [0, 4, 0], [0, 0, 0]])
    guess = logits.argmax(1)
    assert value(F1(3), logits, classes) == pytest.approx(sk.f1_score(classes, guess, average="macro"))
    assert value(BalancedAccuracy(3), logits, classes) == pytest.approx((5 / 7 + 1) / 2)


def test_f1_of_two_classes_without_class_1_is_undefined() -> None:
    nothing = estimate(F1(2), *matrix_of([[7, 0], [0, 0]]))
    assert math.isnan(nothing.value)
    assert nothing.method == "undefined: class 1 neither occurs nor is predicted"
    assert nothing.count == 7
    assert value(F1(2), *matrix_of([[7, 1], [0, 0]])) == 0.0


def test_macro_f1_of_a_split_with_one_class_only_has_an_interval() -> None:
    only = estimate(F1(3), *matrix_of([[9, 0, 0], [0, 0, 0], [0, 0, 0]]))
    assert only.value == 1.0
    assert (only.low, only.high) == pytest.approx((wilson(9, 9).low, 1.0))


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_one_logit_is_judged_like_two(shape: tuple[int, ...]) -> None:
    logits, classes = problem(40, 2)
    z = (logits[:, 1] - logits[:, 0]).reshape(shape)
    for make in (Accuracy, lambda: BalancedAccuracy(2), lambda: F1(2), lambda: TopK(1)):
        for target in (classes, classes[:, None], classes.float(), classes.bool()):
            assert estimate(make(), z, target) == estimate(make(), logits, classes)


def test_of_soft_targets_the_largest_counts() -> None:
    logits, classes = problem(50, 4)
    soft = torch.full((50, 4), 0.1).scatter_(1, classes[:, None], 0.7)
    for make in (Accuracy, lambda: BalancedAccuracy(4), lambda: F1(4), lambda: TopK(2)):
        assert estimate(make(), logits, soft) == estimate(make(), logits, classes)


@pytest.mark.parametrize(
    "metric", [Accuracy(), TopK(2), BalancedAccuracy(3), F1(3)], ids=lambda metric: type(metric).__name__
)
class TestEvery:
    def test_examples_marked_do_not_count(self, metric: Metric) -> None:
        logits, classes = problem(60, 3)
        marked = torch.cat([classes[:40], torch.full((20,), -100)])
        metric.reset()
        assert_same(estimate(metric, logits, marked), estimate_again(metric, logits[:40], classes[:40]))

    def test_nothing_but_marked_examples_is_undefined(self, metric: Metric) -> None:
        metric.reset()
        nothing = estimate(metric, torch.zeros(5, 3), torch.full((5,), -100))
        assert math.isnan(nothing.value)
        assert nothing.method == "undefined: no target counts"

    def test_outputs_that_are_nan_leave_it_undefined(self, metric: Metric) -> None:
        logits, classes = problem(20, 3)
        logits[3, 1] = logits[7] = torch.nan
        metric.reset()
        undefined = estimate(metric, logits, classes)
        assert math.isnan(undefined.value)
        assert (undefined.low, undefined.high) == (None, None)
        assert undefined.method == "undefined: 2 outputs are NaN"

    def test_infinite_logits_are_an_order_like_any_other(self, metric: Metric) -> None:
        logits, classes = problem(60, 3)
        saturated = torch.where(logits == logits.amax(1, keepdim=True), torch.inf, logits)
        metric.reset()
        assert_same(estimate(metric, saturated, classes), estimate_again(metric, logits, classes))

    @pytest.mark.parametrize("stray", [3, -1, 200])
    def test_labels_out_of_range_are_refused(self, metric: Metric, stray: int) -> None:
        logits, classes = problem(20, 3)
        classes[4] = stray
        metric.reset()
        with pytest.raises(DataError) as caught:
            estimate(metric, logits, classes)
        assert caught.value.problems[0].what == "labels out of range"
        assert caught.value.problems[0].received == "1 others"

    @pytest.mark.parametrize("count", [1, 19])
    def test_targets_that_are_not_as_many_are_refused(self, metric: Metric, count: int) -> None:
        with pytest.raises(DataError, match="targets that are not classes"):
            metric.update(torch.zeros(20, 3), torch.zeros(count, dtype=torch.long))


def estimate_again(metric: Metric, output: Tensor, target: Tensor) -> Estimate:
    metric.reset()
    return estimate(metric, output, target)


def assert_same(first: Estimate, second: Estimate) -> None:
    assert first.count == second.count
    assert first.method == second.method
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high))


def test_top_k_of_too_few_logits_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        TopK(5).update(torch.zeros(7, 3), torch.zeros(7, dtype=torch.long))
    assert str(caught.value) == (
        "top5 of too few logits\n  received: output (7, 3)\n  allowed:  (N, C) with C of at least 5"
    )


@pytest.mark.parametrize("make", [ConfusionMatrix, F1, BalancedAccuracy])
@pytest.mark.parametrize("columns", [2, 4])
def test_a_matrix_of_another_number_of_classes_is_refused(make: type[ConfusionMatrix], columns: int) -> None:
    with pytest.raises(ModelError) as caught:
        make(3).update(torch.zeros(7, columns), torch.zeros(7, dtype=torch.long))
    (problem,) = caught.value.problems
    assert problem.received == f"output (7, {columns})"
    assert problem.allowed == "(N, 3)"


def test_the_matrix_of_no_example_is_an_error() -> None:
    with pytest.raises(DataError, match="confusion matrix of an empty split"):
        ConfusionMatrix(3).matrix()


def test_accuracy_has_wilsons_interval() -> None:
    logits, classes = problem(80, 3)
    right = int((logits.argmax(1) == classes).sum())
    assert estimate(Accuracy(), logits, classes) == wilson(right, 80)


def coverage(metric: ConfusionMatrix, shares: np.ndarray, count: int, truth: float, repeats: int = 500) -> float:
    """How often the interval holds ``truth`` over matrices drawn with these shares of the cells."""
    stream, hits = np.random.default_rng(7), 0
    for _ in range(repeats):
        cells = stream.multinomial(count, (shares / shares.sum()).ravel())
        metric.counts = torch.tensor([*cells, 0, 0, 0])
        drawn = metric.compute()  # type: ignore[attr-defined]
        hits += drawn.low <= truth <= drawn.high
    return hits / repeats


def shares(sizes: list[float], rate: float) -> np.ndarray:
    """Every class recognised at this rate, confused evenly with the others."""
    wrong = (1 - rate) / (len(sizes) - 1)
    table = np.where(np.eye(len(sizes)) > 0, rate, wrong)
    return np.asarray(sizes)[:, None] / sum(sizes) * table


def macro_f1(table: np.ndarray) -> float:
    return float((2 * np.diagonal(table) / (table.sum(0) + table.sum(1))).mean())


@pytest.mark.parametrize("count", [20, 100])
@pytest.mark.parametrize("rate", [0.7, 0.95])
def test_f1_of_two_classes_covers_95_percent_within_3(count: int, rate: float) -> None:
    table = shares([2, 1], rate)
    truth = 2 * table[1, 1] / (2 * table[1, 1] + table[0, 1] + table[1, 0])
    assert coverage(F1(2), table, count, truth) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("sizes", "rate", "count"),
    [
        ([1, 1, 1], 0.7, 50),
        ([1, 1, 1], 0.97, 200),
        ([16, 3, 1], 0.8, 200),
        ([90, 7, 3], 0.97, 400),
        ([1] * 10, 0.9, 200),
        ([1] * 10, 0.99, 1000),
    ],
)
def test_the_means_over_classes_cover_95_percent_within_4(sizes: list[float], rate: float, count: int) -> None:
    table = shares(sizes, rate)
    assert coverage(F1(len(sizes)), table, count, macro_f1(table)) == pytest.approx(0.95, abs=0.04)
    assert coverage(BalancedAccuracy(len(sizes)), table, count, rate) == pytest.approx(0.95, abs=0.04)


def test_the_variance_of_macro_f1_follows_from_its_derivative() -> None:
    table = shares([5, 3, 2], 0.8) + np.triu(np.full((3, 3), 0.02))
    table /= table.sum()
    count, step = 10**9, 1e-6
    influence = np.empty((3, 3))
    for cell in np.ndindex(3, 3):
        more, less = table.copy(), table.copy()
        more[cell] += step
        less[cell] -= step
        influence[cell] = (macro_f1(more) - macro_f1(less)) / (2 * step)
    variance = (table * influence**2).sum() - (table * influence).sum() ** 2
    metric = F1(3)
    metric.counts = torch.tensor([*(table * count).round().astype(int).ravel(), 0, 0, 0])
    interval = metric.compute()
    assert interval.low is not None
    assert interval.high is not None
    assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(math.sqrt(variance / count), rel=1e-3)
