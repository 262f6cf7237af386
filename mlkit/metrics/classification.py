"""Metrics of classes: accuracy, top-k, and what follows from the confusion matrix (balanced accuracy, F1).

Outputs are logits ``(N, C)``, or one logit for two classes; targets are classes ``(N,)``, or probabilities ``(N, C)``
of which the largest counts. Not here: the area under the ROC curve (`mlkit.metrics.auc`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlkit.errors import ModelError
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import f1_of_jaccard, mean_of_rates, undefined, wilson, wilson_bounds
from mlkit.metrics.streaming import Sums, no_examples
from mlkit.runtime.keys import derive_seed

Floats = npt.NDArray[np.float64]
Numbers = Floats | npt.NDArray[np.int64]

RESAMPLES = 1000  # the ends of a 95 % interval are then order statistics 25 and 975


class Accuracy:
    """Share of examples whose most likely class is the right one.

    Source of the interval: Wilson (1927).

    >>> metric = Accuracy()
    >>> metric.update(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), torch.tensor([0, 1, 1]))
    >>> print(metric.compute())
    0.6667 [0.2077, 0.9385]
    """

    name = "accuracy"
    higher_is_better = True

    def __init__(self) -> None:
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        self.sums.add(predicted_class(output) == true_class(target))

    def compute(self) -> Estimate:
        (right,) = self.sums.read(self.name)
        return wilson(right, self.sums.count)

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


class TopK:
    """Share of examples whose class is among the ``k`` most likely.

    Args:
        k: how many guesses the model has; fewer than there are classes, or every answer is right.
    """

    higher_is_better = True

    def __init__(self, k: int) -> None:
        self.k, self.name = k, f"top{k}"
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        if output.ndim != 2 or output.shape[1] < self.k:
            raise ModelError(
                f"{self.name} of too few logits",
                received=f"output {tuple(output.shape)}",
                allowed=f"(N, C) with C of at least {self.k}",
            )
        guesses = output.topk(self.k, dim=1).indices
        self.sums.add((guesses == true_class(target)[:, None]).any(1))

    def compute(self) -> Estimate:
        (right,) = self.sums.read(self.name)
        return wilson(right, self.sums.count)

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


class ConfusionMatrix:
    """Counts of (true class, predicted class); the base of the metrics that follow from it.

    Args:
        num_classes: classes of the task; two also for a model with one logit.
    """

    name = "confusion matrix"
    higher_is_better = True

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts: Tensor | None = None

    def reset(self) -> None:
        self.counts = None

    def update(self, output: Tensor, target: Tensor) -> None:
        cells = true_class(target) * self.num_classes + predicted_class(output)
        if self.counts is None:
            self.counts = torch.zeros(self.num_classes**2, dtype=torch.int64, device=cells.device)
        # bincount would wait for the device to learn the largest value.
        self.counts.scatter_add_(0, cells, torch.ones_like(cells))

    def matrix(self) -> Tensor:
        """Counts, int64 ``(C, C)``: row = true class, column = predicted class, on the CPU.

        Raises:
            DataError: there was no example.
        """
        if self.counts is None or not bool(self.counts.any()):
            raise no_examples(self.name)
        return self.counts.view(self.num_classes, self.num_classes).cpu()

    def state(self) -> Mapping[str, Tensor]:
        return {} if self.counts is None else {"counts": self.counts}


class BalancedAccuracy(ConfusionMatrix):
    """Mean over classes of the share of a class that is recognised; classes without an example are left out."""

    name = "balanced_accuracy"

    def compute(self) -> Estimate:
        matrix = self.matrix()
        occurs = matrix.sum(1) > 0
        return mean_of_rates(matrix.diagonal()[occurs].double().tolist(), matrix.sum(1)[occurs].tolist())


class F1(ConfusionMatrix):
    """Harmonic mean of precision and recall: of class 1 for two classes, else the unweighted mean over classes.

    Classes that neither occur nor are predicted are left out, as scikit-learn does. For two classes the interval is
    exact in form: F1 is an increasing function of the rate ``tp / (tp + fp + fn)``. The mean over classes is
    resampled: the whole matrix is drawn from a multinomial distribution, seeded, 1,000 times.

    Args:
        num_classes: classes of the task.
    """

    name = "f1"

    def compute(self) -> Estimate:
        matrix = self.matrix().numpy()
        count = int(matrix.sum())
        if self.num_classes == 2:
            size = count - int(matrix[0, 0])
            if size == 0:
                return undefined("class 1 neither occurs nor is predicted", count=count)
            interval = f1_of_jaccard(wilson(float(matrix[1, 1]), size))
            return Estimate(interval.value, interval.low, interval.high, count, interval.method)
        value = _macro_f1(matrix.sum(1), matrix.sum(0), np.diagonal(matrix))
        if int(np.trace(matrix)) == count:
            return Estimate(value, wilson_bounds(1.0, count)[0], 1.0, count, "wilson: no error was seen")
        low, high = np.quantile(_resampled_macro_f1(matrix), (0.025, 0.975))
        return Estimate(value, min(float(low), value), max(float(high), value), count, "bootstrap")


def predicted_class(output: Tensor) -> Tensor:
    """The most likely class, int64 ``(N,)``; one logit above zero means class 1."""
    if output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(1)
    if output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1):
        return (output.flatten() > 0).long()
    raise ModelError(
        "the model's output is not logits of classes",
        received=f"output {tuple(output.shape)}",
        allowed="(N, C), or one logit (N,) or (N, 1) for two classes",
    )


def true_class(target: Tensor) -> Tensor:
    """The class of each example, int64 ``(N,)``, from classes or from probabilities."""
    return target.argmax(1) if target.ndim == 2 and target.shape[1] > 1 else target.flatten().long()


def _macro_f1(true: Numbers, predicted: Numbers, right: Numbers) -> float:
    """Mean over the classes that occur or are predicted, from counts a class."""
    total = true + predicted
    return float((2.0 * right[total > 0] / total[total > 0]).mean())


def _resampled_macro_f1(matrix: npt.NDArray[np.int64]) -> Floats:
    """Macro F1 of resampled matrices; cells without an example stay without one and need not be drawn."""
    size, count = len(matrix), int(matrix.sum())
    rows, columns = np.nonzero(matrix)
    stream = np.random.default_rng(derive_seed("f1", count))
    scores = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        cells = stream.multinomial(count, matrix[rows, columns] / count)
        true, predicted = np.bincount(rows, cells, size), np.bincount(columns, cells, size)
        scores[number] = _macro_f1(true, predicted, np.bincount(rows, cells * (rows == columns), size))
    return scores
