"""Area under the ROC curve, exact and with DeLong's variance; ties count one half.

The scores are kept on the device, one row an example: the area depends on all pairs and has no exact running sum.
Not here: metrics of the predicted class (`mlkit.metrics.classification`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mlkit.metrics.classification import true_class
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import rate_with_variance, undefined
from mlkit.metrics.streaming import no_examples, wide


class AUC:
    """Probability that an example of a class is scored above one that is not of it.

    Two classes: class 1 against class 0. More: every class against the rest by its softmax probability, then the
    unweighted mean over the classes that occur (``method`` says how many). With one class only, the value is NaN.

    Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); the interval is the score interval of as many
    independent trials as have that variance, with at least the size of the smallest class (its bound on the variance).

    >>> metric = AUC()
    >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> metric.compute().value
    0.75
    """

    name = "auc"
    higher_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.scores: list[Tensor] = []
        self.classes: list[Tensor] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        output = output.detach()
        if output.ndim == 2 and output.shape[1] == 2:
            output = output[:, 1] - output[:, 0]  # the order of the softmax probability, without its rounding to 1
        scores = output.flatten() if output.ndim == 1 or output.shape[1] == 1 else output
        # A copy: with CUDA graphs the model writes every output into the same memory.
        self.scores.append(scores.clone())
        self.classes.append(true_class(target).clone())

    def compute(self) -> Estimate:
        if not self.classes or not (count := sum(map(len, self.classes))):
            raise no_examples(self.name)
        scores, classes = wide(torch.cat(self.scores)), torch.cat(self.classes)
        if not bool(scores.isfinite().all()):
            return undefined("some outputs are not finite", count=count)
        columns = _columns(scores)
        sizes = torch.stack([(classes == label).sum() for label in columns]).tolist()
        usable = [label for label, size in zip(columns, sizes, strict=True) if 0 < size < count]
        if not usable:
            return undefined("all examples are of one class", count=count)
        areas, influence = _mean_area(columns, classes, usable)
        smallest = min(min(size, count - size) for size in sizes if 0 < size < count)
        left_out = len(columns) - len(usable)
        method = "delong"
        if left_out:
            method += f", mean over the {len(usable)} of {len(columns)} classes that occur"
        variance = float(influence.square().sum())
        return rate_with_variance(areas, variance, count=count, least=smallest, method=method)

    def state(self) -> Mapping[str, Tensor]:
        if not self.classes:
            return {}
        return {"scores": torch.cat(self.scores), "classes": torch.cat(self.classes)}


def _columns(scores: Tensor) -> dict[int, Tensor]:
    """Score of each class, higher = more likely, by class."""
    if scores.ndim == 1:
        return {1: scores}
    log_probabilities = scores.log_softmax(1)
    return {label: log_probabilities[:, label] for label in range(scores.shape[1])}


def _mean_area(columns: dict[int, Tensor], classes: Tensor, usable: list[int]) -> tuple[float, Tensor]:
    """Mean of the areas, and how much each example moves it; the variance is the sum of the squares."""
    influence = torch.zeros_like(columns[usable[0]])
    areas = []
    for label in usable:
        positive = classes == label
        area, single = _area(columns[label][positive], columns[label][~positive])
        influence[positive] += single[0] / len(usable)
        influence[~positive] += single[1] / len(usable)
        areas.append(area)
    return sum(areas) / len(areas), influence


def _area(positive: Tensor, negative: Tensor) -> tuple[float, tuple[Tensor, Tensor]]:
    """Area and the influence of each positive and each negative, from midranks (Sun and Xu 2014)."""
    m, n = len(positive), len(negative)
    ranks = _midranks(torch.cat([positive, negative]))
    above_negatives = (ranks[:m] - _midranks(positive)) / n
    below_positives = 1 - (ranks[m:] - _midranks(negative)) / m
    area = above_negatives.mean()
    return float(area), (_influence(above_negatives, area), _influence(below_positives, area))


def _influence(placements: Tensor, area: Tensor) -> Tensor:
    """How much each example of one side moves the area."""
    count = len(placements)
    if count == 1:  # one example shows no spread; the largest that a number in [0, 1] with this mean can have
        return (area * (1 - area)).sqrt().expand(1)
    # n - 1 rather than n makes the sum of squares DeLong's unbiased variance.
    return (placements - area) / (count * (count - 1)) ** 0.5


def _midranks(x: Tensor) -> Tensor:
    """Ranks from 1, ties sharing the mean of theirs."""
    _, group, sizes = torch.unique(x, sorted=True, return_inverse=True, return_counts=True)
    last = sizes.cumsum(0).to(x.dtype)
    ranks = last - (sizes.to(x.dtype) - 1) / 2
    return ranks.index_select(0, group)
