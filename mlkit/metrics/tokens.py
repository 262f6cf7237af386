"""Metrics of the next token: token accuracy and perplexity, with the window as the independent unit.

Neighbouring tokens share their context, so an interval that counted every token as independent would be too narrow.
Not here: where windows come from (`mlkit.data.splits`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import exponential, normal_mean, rate_with_variance, undefined
from mlkit.metrics.losses import IGNORED, TokenCrossEntropy
from mlkit.metrics.streaming import Sums, wide


class TokenAccuracy:
    """Share of tokens that were the most likely one; tokens marked -100 do not count.

    >>> import torch
    >>> metric = TokenAccuracy()
    >>> metric.update(torch.eye(3)[None], torch.tensor([[0, 1, 0]]))
    >>> round(metric.compute().value, 4)
    0.6667
    """

    name = "accuracy"
    higher_is_better = True

    def __init__(self) -> None:
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        counted = target != IGNORED
        right = (output.argmax(-1) == target) & counted
        _add_ratio(self.sums, right.sum(1), counted.sum(1))

    def compute(self) -> Estimate:
        rate, variance, tokens = _ratio(self.sums, self.name)
        windows = self.sums.count
        if not tokens:
            return undefined("no token counts")
        if windows == 1:
            return Estimate(rate, count=1, method="none: a single window")
        return rate_with_variance(rate, variance, count=windows, least=windows, method="wilson, by windows")

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


class Perplexity:
    """``exp`` of the mean cross-entropy of a token; tokens marked -100 do not count.

    Args:
        vocab_size: number of different tokens.
    """

    name = "perplexity"
    higher_is_better = False

    def __init__(self, vocab_size: int) -> None:
        self.losses = TokenCrossEntropy(vocab_size).per_example
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        tokens = (target != IGNORED).sum(1)
        _add_ratio(self.sums, self.losses(output, target).detach() * tokens, tokens)

    def compute(self) -> Estimate:
        loss, variance, tokens = _ratio(self.sums, self.name)
        windows = self.sums.count
        if not tokens:
            return undefined("no token counts")
        # A mean of `windows` values with this mean and variance of the mean.
        squares = windows * loss**2 + variance * windows * (windows - 1)
        return exponential(normal_mean(loss * windows, squares, windows))

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


def _add_ratio(sums: Sums, parts: Tensor, wholes: Tensor) -> None:
    parts, wholes = wide(parts), wide(wholes)
    sums.add(parts, wholes, parts.square(), parts * wholes, wholes.square())


def _ratio(sums: Sums, name: str) -> tuple[float, float, float]:
    """Sum of parts over sum of wholes, its variance with windows as units, and the sum of wholes.

    Source: the ratio estimator, Cochran, Sampling Techniques (1977), section 2.11.
    """
    parts, wholes, parts2, product, wholes2 = sums.read(name)
    if not wholes:
        return 0.0, 0.0, 0.0
    ratio, count = parts / wholes, sums.count
    residual = max(parts2 - 2 * ratio * product + ratio**2 * wholes2, 0.0)
    return ratio, residual * count / max(count - 1, 1) / wholes**2, wholes
