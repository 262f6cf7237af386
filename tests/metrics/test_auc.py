from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from mlkit.errors import DataError
from mlkit.metrics.auc import AUC, log_odds
from mlkit.metrics.estimate import Estimate


def estimate(output: Tensor, target: Tensor) -> Estimate:
    metric = AUC()
    metric.update(output, target)
    return metric.compute()


def two_groups(positives: int, negatives: int, shift: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    scores = torch.randn(positives + negatives, generator=stream, dtype=torch.float64)
    scores[:positives] += shift
    return scores, (torch.arange(positives + negatives) < positives).long()


def many_groups(count: int, num_classes: int, shift: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    classes = torch.randint(num_classes, (count,), generator=stream)
    logits = torch.randn(count, num_classes, generator=stream, dtype=torch.float64)
    logits[torch.arange(count), classes] += shift
    return logits, classes


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_two_classes_as_scikit_learn_has_it(seed: int, rounded: bool) -> None:
    scores, classes = two_groups(60, 90, 0.8, seed)
    scores = scores.round() if rounded else scores
    assert estimate(scores, classes).value == pytest.approx(roc_auc_score(classes, scores))


@pytest.mark.parametrize("num_classes", [3, 10])
def test_every_class_against_the_rest_as_scikit_learn_has_it(num_classes: int) -> None:
    logits, classes = many_groups(200, num_classes, 1.0)
    expected = roc_auc_score(classes, logits.softmax(1), multi_class="ovr", average="macro")
    assert estimate(logits, classes).value == pytest.approx(expected)


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    scores, classes = two_groups(20, 30, 0.5)
    scores = (2 * scores).round()
    pairs = scores[classes == 1][:, None] - scores[classes == 0]
    assert estimate(scores, classes).value == pytest.approx(float((pairs > 0).double().add(0.5 * (pairs == 0)).mean()))


def test_one_logit_and_two_are_the_same() -> None:
    scores, classes = two_groups(20, 30, 0.5)
    two = torch.stack([3 - scores / 2, 3 + scores / 2], 1)
    expected = estimate(scores, classes)
    for output in (scores[:, None], two):
        for target in (classes, classes[:, None], classes.double(), torch.nn.functional.one_hot(classes).double()):
            ours = estimate(output, target)
            assert (ours.value, ours.low, ours.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_saturated_probabilities_still_have_an_order() -> None:
    margin = torch.tensor([100.0, 200.0, 300.0, 400.0])
    classes = torch.tensor([0, 0, 1, 1])
    two = torch.stack([torch.zeros(4), margin], 1)
    assert estimate(two, classes).value == 1.0
    three = torch.stack([torch.zeros(4), margin, torch.full((4,), -1000.0)], 1)
    assert estimate(three, classes).value == 1.0
    assert estimate(torch.tensor([-3e38, 0.0, 1e38, 3e38]), classes).value == 1.0


def test_log_odds_are_those_of_the_softmax() -> None:
    for num_classes in (2, 5):
        logits, _ = many_groups(50, num_classes, 0.0)
        p = logits.softmax(1)
        torch.testing.assert_close(log_odds(logits), (p / (1 - p)).log())


@pytest.mark.parametrize("count", [7, 64, 1001])
@pytest.mark.parametrize("num_classes", [1, 2, 3, 10])
def test_a_constant_model_has_one_half(count: int, num_classes: int) -> None:
    classes = torch.arange(count) % max(num_classes, 2)
    output = torch.linspace(-1.3, 2.1, num_classes).expand(count, num_classes)
    assert estimate(output, classes).value == pytest.approx(0.5, abs=1e-12)


def test_reversed_scores_mirror_value_and_interval() -> None:
    scores, classes = two_groups(15, 40, 1.0)
    ours, mirrored = estimate(scores, classes), estimate(-scores, classes)
    assert mirrored.low is not None
    assert mirrored.high is not None
    assert (ours.value, ours.low, ours.high) == pytest.approx((1 - mirrored.value, 1 - mirrored.high, 1 - mirrored.low))


def test_a_class_that_does_not_occur_is_left_out_and_told() -> None:
    logits, classes = many_groups(80, 3, 1.0)
    wider = torch.cat([logits, torch.full((80, 1), -9.0)], 1)
    ours, p = estimate(wider, classes), wider.softmax(1)
    assert ours.value == pytest.approx(np.mean([roc_auc_score(classes == label, p[:, label]) for label in range(3)]))
    assert ours.method == "delong, mean over the 3 of 4 classes that occur"
    assert estimate(logits, classes).method == "delong"


@pytest.mark.parametrize("output", [torch.zeros(6), torch.zeros(6, 3)])
def test_one_class_only_is_undefined(output: Tensor) -> None:
    nothing = estimate(output, torch.ones(6, dtype=torch.long))
    assert math.isnan(nothing.value)
    assert nothing.low is None
    assert (nothing.method, nothing.count) == ("undefined: all examples are of one class", 6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_outputs_that_are_not_finite_leave_it_undefined(bad: float, columns: int) -> None:
    logits, classes = many_groups(20, max(columns, 2), 1.0)
    logits = logits[:, :columns]
    logits[4, 0] = bad
    assert estimate(logits, classes).method == "undefined: some outputs are not finite"


def test_examples_marked_do_not_count() -> None:
    logits, classes = many_groups(60, 3, 1.0)
    marked = torch.cat([classes[:40], torch.full((20,), -100)])
    assert estimate(logits, marked) == estimate(logits[:40], classes[:40])
    assert estimate(logits, torch.full((60,), -100)).method == "undefined: no target counts"


@pytest.mark.parametrize(("columns", "stray"), [(1, 2), (2, 2), (3, 3), (3, -1)])
def test_labels_out_of_range_are_refused(columns: int, stray: int) -> None:
    with pytest.raises(DataError) as caught:
        estimate(torch.zeros(3, columns), torch.tensor([0, 1, stray]))
    assert caught.value.problems[0].received == f"labels from {min(stray, 0)} to {max(stray, 1)}"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_differences_of_narrow_logits_are_not_rounded(dtype: torch.dtype) -> None:
    # 256.0 - 0.25 and 256.0 - 0.5 are the same number in bfloat16.
    logits = torch.tensor([[0.5, 256.0], [0.25, 256.0]], dtype=dtype)
    assert estimate(logits, torch.tensor([0, 1])).value == 1.0


def test_the_interval_becomes_delongs_with_many_examples() -> None:
    scores, classes = two_groups(300, 500, 1.0)
    kernel = (scores[classes == 1][:, None] > scores[classes == 0]).double()
    variance = kernel.mean(1).var() / 300 + kernel.mean(0).var() / 500
    ours = estimate(scores, classes)
    assert ours.low is not None
    assert ours.high is not None
    assert (ours.high - ours.low) / (2 * 1.96) == pytest.approx(float(variance.sqrt()), rel=0.03)


def test_the_interval_of_a_mean_knows_that_the_classes_share_their_examples() -> None:
    # Three classes of which two are told apart by the same score: independent areas would give 1 / sqrt(2) of it.
    spread = np.std([estimate(*many_groups(600, 3, 0.7, seed)).value for seed in range(200)])
    ours = estimate(*many_groups(600, 3, 0.7, 999))
    assert ours.low is not None
    assert ours.high is not None
    assert (ours.high - ours.low) / (2 * 1.96) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(("positives", "negatives"), [(5, 50), (10, 500), (20, 20), (300, 10), (100, 100)])
def test_two_classes_are_covered_at_least_91_percent_also_when_one_is_rare(
    positives: int, negatives: int, shift: float
) -> None:
    truth = stats.norm.cdf(shift / math.sqrt(2))
    drawn = [estimate(*two_groups(positives, negatives, shift, seed)) for seed in range(500)]
    hits = [one.low <= truth <= one.high for one in drawn if one.low is not None and one.high is not None]
    assert len(hits) == 500
    assert np.mean(hits) > 0.91
    if min(positives, negatives) == 100 and shift < 2:
        assert np.mean(hits) < 0.99


@pytest.mark.parametrize(("count", "num_classes"), [(60, 3), (200, 5)])
def test_the_mean_over_classes_is_covered_95_percent_within_4(count: int, num_classes: int) -> None:
    truth = estimate(*many_groups(40_000, num_classes, 1.0, 10_000)).value
    drawn = [estimate(*many_groups(count, num_classes, 1.0, seed)) for seed in range(250)]
    hits = [one.low <= truth <= one.high for one in drawn if one.low is not None and one.high is not None]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.04)


def test_perfect_and_tiny_groups_are_not_certain() -> None:
    perfect = estimate(torch.tensor([-1.0, -2.0, 3.0]), torch.tensor([0, 0, 1]))
    assert perfect.value == perfect.high == 1.0
    assert perfect.low is not None
    assert perfect.low < 0.6
