"""Area under the ROC curve, exact and with DeLong's variance; ties count one half.

The logits are kept on the device, one row an example: the area depends on all pairs and has no exact running sum.
Not here: metrics of the predicted class (`mlkit.metrics.classification`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mlkit.metrics.classes import IGNORED, is_stray, labels_out_of_range, logits_and_classes
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import equivalent_trials, undefined, wilson_bounds
from mlkit.metrics.streaming import no_examples, wide

HALF = 0.5  # examples added to each side, for the variance alone


class AUC:
    """Probability that an example of a class is scored above one that is not of it.

    Two classes: class 1 against class 0. More: every class against the rest by its softmax probability, then the
    unweighted mean over the classes that occur (``method`` says how many). With one class only, or outputs that are not
    finite, the value is NaN. Examples marked -100 do not count.

    The interval is the score interval of as many independent trials as have DeLong's variance, to which half an example
    was added: with few examples of a class, DeLong's own is far too small near 1.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988).

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
        self.logits: list[Tensor] = []
        self.classes: list[Tensor] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        logits, classes = logits_and_classes(output.detach(), target)
        # Copies: with CUDA graphs the model writes every output into the same memory.
        self.logits.append(logits.clone())
        self.classes.append(classes.clone())

    def compute(self) -> Estimate:
        scores, classes = self._gathered()
        count, num_classes = scores.shape
        if not count:
            return undefined("no target counts")
        if bool(is_stray(classes, num_classes).any()):
            raise labels_out_of_range(f"labels from {int(classes.min())} to {int(classes.max())}", num_classes)
        if not bool(scores.isfinite().all()):
            return undefined("some outputs are not finite", count=count)
        # With two classes, class 0 against class 1 would say the same once more.
        labels = [1] if num_classes == 2 else range(num_classes)
        sizes = classes.bincount(minlength=num_classes).tolist()
        usable = [label for label in labels if 0 < sizes[label] < count]
        if not usable:
            return undefined("all examples are of one class", count=count)
        area, variance = _mean_area({label: scores[:, label] for label in usable}, classes)
        smallest = min(min(sizes[label], count - sizes[label]) for label in usable)
        shrunk = (smallest * area + HALF / 2) / (smallest + HALF)
        left_out = f", mean over the {len(usable)} of {num_classes} classes that occur"
        method = "delong" + (left_out if len(usable) < len(labels) else "")
        return Estimate(area, *wilson_bounds(area, equivalent_trials(shrunk, variance)), count, method)

    def _gathered(self) -> tuple[Tensor, Tensor]:
        """Log-odds of the classes ``(N, C)`` and the class ``(N,)`` of all examples that count."""
        if not self.classes or not sum(map(len, self.classes)):
            raise no_examples(self.name)
        classes = torch.cat(self.classes)
        counted = classes != IGNORED
        logits = torch.cat([wide(logits) for logits in self.logits])
        return log_odds(logits[counted]), classes[counted]

    def state(self) -> Mapping[str, Tensor]:
        if not self.classes:
            return {}
        return {"logits": torch.cat(self.logits), "classes": torch.cat(self.classes)}


def log_odds(logits: Tensor) -> Tensor:
    """``log(p / (1 - p))`` of every softmax probability, which orders examples also where ``p`` rounds to 0 or 1."""
    if logits.shape[1] == 2:  # exact, so that one logit keeps its ties
        return logits - logits.flip(1)
    top = logits.argmax(1, keepdim=True)
    log_p = logits.log_softmax(1)
    odds = log_p - (-log_p.exp()).log1p()
    # Of the largest probability, 1 - p would be lost: the others are summed instead.
    rest = logits.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    return odds.scatter(1, top, logits.gather(1, top) - rest)


def _mean_area(columns: Mapping[int, Tensor], classes: Tensor) -> tuple[float, float]:
    """Mean of the areas under the curves of the classes, and its variance."""
    influence = torch.zeros_like(next(iter(columns.values())))  # how much each example moves the sum of the areas
    areas, unseen = [], 0.0
    for label, scores in columns.items():
        positive = classes == label
        above, below = _placements(scores[positive], scores[~positive])
        areas.append(float(above.mean()))
        for mask, placements in ((positive, above), (~positive, below)):
            single = _influence(placements)
            influence[mask] += single
            # Of half an example on each side, half is placed right and half wrong.
            unseen += max(_smoothed_variance(placements) - float(single.square().sum()), 0.0)
    number = len(areas)
    return sum(areas) / number, (float(influence.square().sum()) + unseen) / number**2


def _placements(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Share of negatives below each positive and of positives above each negative, by midranks (Sun and Xu 2014)."""
    m, n = len(positive), len(negative)
    ranks = _midranks(torch.cat([positive, negative]))
    return (ranks[:m] - _midranks(positive)) / n, 1 - (ranks[m:] - _midranks(negative)) / m


def _influence(placements: Tensor) -> Tensor:
    """How much each example of one side moves the area."""
    count, area = len(placements), placements.mean()
    if count == 1:  # one example shows no spread; the largest that a number in [0, 1] with this mean can have
        return (area * (1 - area)).sqrt().reshape(1)
    # n - 1 rather than n makes the sum of squares DeLong's unbiased variance.
    return (placements - area) / math.sqrt(count * (count - 1))


def _smoothed_variance(placements: Tensor) -> float:
    """Variance of the mean placement, with half an example added, of which half is placed right and half wrong."""
    count = len(placements)
    total = count + HALF
    mean = (float(placements.sum()) + HALF / 2) / total
    return ((float(placements.square().sum()) + HALF / 2) / total - mean**2) / count


def _midranks(x: Tensor) -> Tensor:
    """Ranks from 1, ties sharing the mean of theirs."""
    _, group, sizes = torch.unique(x, sorted=True, return_inverse=True, return_counts=True)
    last = sizes.cumsum(0).to(x.dtype)
    ranks: Tensor = (last - (sizes.to(x.dtype) - 1) / 2)[group]
    return ranks
