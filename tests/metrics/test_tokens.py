from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlkit.errors import DataError, ModelError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.losses import TokenCrossEntropy
from mlkit.metrics.streaming import Loss, Metric
from mlkit.metrics.tokens import Perplexity, TokenAccuracy

VOCABULARY = 7


def problem(windows: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (windows, length), generator=stream)
    logits = torch.randn(windows, length, VOCABULARY, generator=stream) + 2 * F.one_hot(tokens, VOCABULARY)
    return logits, tokens


def padded(tokens: Tensor) -> Tensor:
    """Every window a little shorter than the one before."""
    length = tokens.shape[1]
    ends = length - torch.arange(len(tokens)) % length
    return tokens.where(torch.arange(length) < ends[:, None], -100)


def estimate(metric: Metric, output: Tensor, target: Tensor) -> Estimate:
    metric.update(output, target)
    return metric.compute()


def test_accuracy_and_perplexity_of_all_tokens() -> None:
    logits, tokens = problem(9, 12)
    right = (logits.argmax(2) == tokens).double().mean()
    assert estimate(TokenAccuracy(), logits, tokens).value == pytest.approx(float(right))
    expected = math.exp(F.cross_entropy(logits.flatten(0, 1), tokens.flatten()))
    assert estimate(Perplexity(VOCABULARY), logits, tokens).value == pytest.approx(expected)


def test_tokens_to_leave_out_do_not_count() -> None:
    logits, tokens = problem(9, 12)
    target = padded(tokens)
    counted = target >= 0
    right = (logits.argmax(2) == tokens)[counted].double().mean()
    assert estimate(TokenAccuracy(), logits, target).value == pytest.approx(float(right))
    loss = F.cross_entropy(logits[counted], tokens[counted])
    assert estimate(Perplexity(VOCABULARY), logits, target).value == pytest.approx(math.exp(loss))
    assert estimate(Loss(TokenCrossEntropy(VOCABULARY)), logits, target).value == pytest.approx(float(loss))


def test_loss_and_perplexity_say_the_same() -> None:
    logits, tokens = problem(9, 12)
    loss = estimate(Loss(TokenCrossEntropy(VOCABULARY)), logits, padded(tokens))
    perplexity = estimate(Perplexity(VOCABULARY), logits, padded(tokens))
    assert loss.low is not None
    assert loss.high is not None
    assert (perplexity.value, perplexity.low, perplexity.high) == pytest.approx(
        (math.exp(loss.value), math.exp(loss.low), math.exp(loss.high))
    )
    assert perplexity.count == loss.count == 9
    assert perplexity.method == "student for the mean, mapped by exp"


def test_logits_that_know_nothing_have_the_perplexity_of_the_vocabulary() -> None:
    _, tokens = problem(4, 6)
    perplexity = estimate(Perplexity(VOCABULARY), torch.zeros(4, 6, VOCABULARY), tokens)
    assert perplexity.value == pytest.approx(VOCABULARY)


def test_compact_tokens_are_not_taken_for_marked_ones() -> None:
    tokens = torch.full((2, 3), 156, dtype=torch.uint8)  # -100 modulo 256
    logits = F.one_hot(tokens.long(), 200).float()
    assert estimate(TokenAccuracy(), logits, tokens).value == 1.0
    assert estimate(Perplexity(200), logits, tokens).value == pytest.approx((math.e + 199) / math.e, rel=1e-5)


def test_windows_without_a_token_change_nothing() -> None:
    logits, tokens = problem(6, 5)
    more = torch.cat([tokens, torch.full((3, 5), -100)])
    wider = torch.cat([logits, torch.full((3, 5, VOCABULARY), 9.0)])
    for make in (TokenAccuracy, lambda: Perplexity(VOCABULARY)):
        assert estimate(make(), wider, more) == estimate(make(), logits, tokens)


@pytest.mark.parametrize("make", [TokenAccuracy, lambda: Perplexity(VOCABULARY)])
def test_no_token_at_all_is_undefined(make: type[TokenAccuracy]) -> None:
    nothing = estimate(make(), torch.zeros(2, 3, VOCABULARY), torch.full((2, 3), -100))
    assert math.isnan(nothing.value)
    assert nothing.method == "undefined: no target counts"


@pytest.mark.parametrize("make", [TokenAccuracy, lambda: Perplexity(VOCABULARY)])
def test_one_window_has_a_value_without_interval(make: type[TokenAccuracy]) -> None:
    ours = estimate(make(), *problem(1, 50))
    assert math.isfinite(ours.value)
    assert (ours.low, ours.method) == (None, "none: a single example")


def test_outputs_that_are_nan_are_told() -> None:
    logits, tokens = problem(4, 6)
    target = padded(tokens)
    logits[0, 0, 2] = torch.nan
    accuracy, perplexity = estimate(TokenAccuracy(), logits, target), estimate(Perplexity(VOCABULARY), logits, target)
    assert accuracy.method == "undefined: 1 outputs are NaN"
    assert math.isnan(accuracy.value)
    assert math.isnan(perplexity.value)
    assert perplexity.method == "none: some values are not finite"


def test_nan_where_no_token_counts_does_not_matter() -> None:
    logits, tokens = problem(4, 6)
    target = padded(tokens)
    spoilt = logits.masked_fill((target < 0)[:, :, None], torch.nan)
    for make in (TokenAccuracy, lambda: Perplexity(VOCABULARY)):
        assert estimate(make(), spoilt, target) == estimate(make(), logits, target)


def test_a_hopeless_model_has_an_infinite_perplexity_and_no_error() -> None:
    _, tokens = problem(4, 6)
    logits = -1e4 * F.one_hot(tokens, VOCABULARY).float()
    assert estimate(Perplexity(VOCABULARY), logits, tokens).value == math.inf


def test_tokens_out_of_range_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        estimate(TokenAccuracy(), torch.zeros(1, 3, 4), torch.tensor([[0, 4, -1]]))
    (problem_found,) = caught.value.problems
    assert problem_found.what == "labels out of range"
    assert problem_found.received == "2 others"
    assert problem_found.allowed == "0 to 3, as the model has 4 outputs; -100 for what does not count"


@pytest.mark.parametrize("out", [(2, 3), (2, 1, 4), (1, 3, 4), (6, 4)])
@pytest.mark.parametrize("make", [TokenAccuracy, lambda: Perplexity(4)])
def test_logits_of_other_shapes_are_refused(make: type[TokenAccuracy], out: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="the model's output does not fit the targets"):
        make().update(torch.zeros(out), torch.zeros(2, 3, dtype=torch.long))


def test_windows_that_are_all_right_are_not_certain() -> None:
    _, tokens = problem(5, 40)
    ours = estimate(TokenAccuracy(), F.one_hot(tokens, VOCABULARY).float(), tokens)
    assert ours.value == ours.high == 1.0
    assert ours.low is not None
    assert ours.low < 0.5


def right_or_wrong(right: np.ndarray) -> tuple[Tensor, Tensor]:
    guess = torch.from_numpy(~right).long()
    return F.one_hot(guess, 2).float(), torch.zeros_like(guess)


@pytest.mark.parametrize("windows", [3, 10, 40])
def test_accuracy_is_covered_95_percent_though_tokens_of_a_window_are_alike(windows: int) -> None:
    stream, hits = np.random.default_rng(5), 0
    for _ in range(600):
        skill = stream.beta(7, 3, windows)
        ours = estimate(TokenAccuracy(), *right_or_wrong(stream.random((windows, 50)) < skill[:, None]))
        assert ours.low is not None
        assert ours.high is not None
        hits += ours.low <= 0.7 <= ours.high
    assert hits / 600 == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("windows", [3, 20])
def test_perplexity_is_covered_95_percent(windows: int) -> None:
    stream, hits = np.random.default_rng(5), 0
    for _ in range(600):
        # The loss of a token is log(1 + e^-m): normal between windows about log 2, by the margin that gives it.
        loss = np.maximum(stream.normal(0.9, 0.1, (windows, 1)) + stream.normal(0, 0.1, (windows, 8)), 0.05)
        margin = torch.from_numpy(-np.log(np.expm1(loss)))
        logits = torch.stack([margin, torch.zeros_like(margin)], 2)
        ours = estimate(Perplexity(2), logits, torch.zeros(windows, 8, dtype=torch.long))
        assert ours.low is not None
        assert ours.high is not None
        hits += ours.low <= math.exp(0.9) <= ours.high
    assert hits / 600 == pytest.approx(0.95, abs=0.025)
