"""Metrics of the next token: token accuracy and perplexity, with the window as the independent unit.

Neighbouring tokens share their context, so an interval that counted every token as independent would be too narrow.
Not here: where windows come from (`mlkit.data.splits`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mlkit.metrics.classes import IGNORED, is_stray, labels_out_of_range
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import equivalent_trials, exponential, t95, undefined, wilson_bounds
from mlkit.metrics.losses import TokenCrossEntropy, tokens_of
from mlkit.metrics.streaming import Loss, Ratio, Sums


class TokenAccuracy:
    """Share of tokens that were the most likely one; tokens marked -100 do not count.

    The interval is the score interval of as many independent trials as vary like the windows, with Student's quantile
    for their number.

    >>> import torch
    >>> metric = TokenAccuracy()
    >>> metric.update(torch.eye(3)[None], torch.tensor([[0, 1, 0]]))
    >>> round(metric.compute().value, 4)
    0.6667
    """

    name = "accuracy"
    higher_is_better = True

    def __init__(self) -> None:
        self.vocab_size = 0
        self.ratio, self.unusable = Ratio(), Sums()

    def reset(self) -> None:
        self.ratio.reset()
        self.unusable.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        tokens = tokens_of(output, target)
        self.vocab_size = output.shape[2]
        counted = tokens != IGNORED
        logit, guess = output.detach().max(2)
        self.ratio.add(((guess == tokens) & counted).sum(1), counted.sum(1))
        broken, stray = logit.isnan() & counted, is_stray(tokens, self.vocab_size)
        self.unusable.add(broken.sum(1), stray.sum(1))

    def compute(self) -> Estimate:
        rate, variance, windows = self.ratio.read(self.name)
        broken, stray = self.unusable.read(self.name)
        if stray:
            raise labels_out_of_range(f"{stray:.0f} others", self.vocab_size)
        if not windows:
            return undefined("no target counts")
        if broken:
            return undefined(f"{broken:.0f} outputs are NaN", count=windows)
        if windows == 1:
            return Estimate(rate, count=1, method="none: a single example")
        # Windows that all have the same share show no variance; then each counts as one trial.
        size = equivalent_trials(rate, variance) if variance > 0 and 0 < rate < 1 else windows
        return Estimate(rate, *wilson_bounds(rate, size, t95(windows - 1)), windows, "wilson, by windows")

    def state(self) -> Mapping[str, Tensor]:
        return self.ratio.state()


class Perplexity:
    """``exp`` of the mean cross-entropy of a token; tokens marked -100 do not count.

    Args:
        vocab_size: number of different tokens.
    """

    name = "perplexity"
    higher_is_better = False

    def __init__(self, vocab_size: int) -> None:
        self.loss = Loss(TokenCrossEntropy(vocab_size), name=self.name)

    def reset(self) -> None:
        self.loss.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        self.loss.update(output, target)

    def compute(self) -> Estimate:
        return exponential(self.loss.compute())

    def state(self) -> Mapping[str, Tensor]:
        return self.loss.state()
