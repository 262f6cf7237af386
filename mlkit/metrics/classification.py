"""Metrics of classes: accuracy, top-k, and what follows from the confusion matrix (balanced accuracy, F1).

What outputs and targets may be, `mlkit.metrics.classes` says; examples marked -100 do not count, and an output that is
NaN leaves no metric defined. Not here: the area under the ROC curve (`mlkit.metrics.auc`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlkit.errors import ModelError
from mlkit.metrics.classes import IGNORED, is_stray, labels_out_of_range, logits_and_classes
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import equivalent_trials, f1_of_jaccard, mean_of_rates, undefined, wilson, wilson_bounds
from mlkit.metrics.streaming import Sums, no_examples

Matrix = npt.NDArray[np.float64]


class _Hits:
    """Share of examples for which one of the guesses was right, with Wilson's interval."""

    higher_is_better = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.num_classes = 0
        self.sums = Sums()

    def reset(self) -> None:
        self.sums.reset()

    def _add(self, best: Tensor, right: Tensor, classes: Tensor, num_classes: int) -> None:
        """Add a batch: the largest logit, whether a guess is right, and the class of each example, all ``(N,)``."""
        self.num_classes = num_classes
        counted = classes != IGNORED
        self.sums.add(right & counted, counted, best.isnan() & counted, is_stray(classes, num_classes))

    def compute(self) -> Estimate:
        right, counted, broken, stray = self.sums.read(self.name)
        if stray:
            raise labels_out_of_range(f"{stray:.0f} others", self.num_classes)
        if not counted:
            return undefined("no target counts")
        if broken:
            return undefined(f"{broken:.0f} outputs are NaN", count=int(counted))
        return wilson(right, int(counted))

    def state(self) -> Mapping[str, Tensor]:
        return self.sums.state()


class Accuracy(_Hits):
    """Share of examples whose most likely class is the right one.

    Source of the interval: Wilson (1927).

    >>> metric = Accuracy()
    >>> metric.update(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), torch.tensor([0, 1, 1]))
    >>> print(metric.compute())
    0.6667 [0.2077, 0.9385]
    """

    def __init__(self) -> None:
        super().__init__("accuracy")

    def update(self, output: Tensor, target: Tensor) -> None:
        logits, classes = logits_and_classes(output.detach(), target)
        best, guess = logits.max(1)
        self._add(best, guess == classes, classes, logits.shape[1])


class TopK(_Hits):
    """Share of examples whose class is among the ``k`` most likely.

    Args:
        k: how many guesses the model has; fewer than there are classes, or every answer is right.
    """

    def __init__(self, k: int) -> None:
        super().__init__(f"top{k}")
        self.k = k

    def update(self, output: Tensor, target: Tensor) -> None:
        logits, classes = logits_and_classes(output.detach(), target)
        if logits.shape[1] < self.k:
            raise ModelError(
                f"{self.name} of too few logits",
                received=f"output {tuple(output.shape)}",
                allowed=f"(N, C) with C of at least {self.k}",
            )
        best, guesses = logits.topk(self.k, dim=1)
        self._add(best[:, 0], (guesses == classes[:, None]).any(1), classes, logits.shape[1])


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
        logits, classes = logits_and_classes(output.detach(), target)
        if logits.shape[1] != self.num_classes:
            raise ModelError(
                "the model has not as many outputs as the task has classes",
                received=f"output {tuple(output.shape)}",
                allowed=f"(N, {self.num_classes})",
            )
        best, guess = logits.max(1)
        # Three more cells, as looking for such examples would wait for the device.
        nan, ignored, stray = (self.num_classes**2 + i for i in range(3))
        cells = (classes * self.num_classes + guess).where(~best.isnan(), nan)
        cells = cells.where(classes != IGNORED, ignored).where(~is_stray(classes, self.num_classes), stray)
        if self.counts is None:
            with torch.inference_mode(False):  # so that batches may come from inside and outside inference mode
                self.counts = torch.zeros(self.num_classes**2 + 3, dtype=torch.int64, device=cells.device)
        # bincount would wait for the device to learn the largest value.
        self.counts.scatter_add_(0, cells, torch.ones_like(cells))

    def matrix(self) -> Tensor:
        """Counts, int64 ``(C, C)``: row = true class, column = predicted class, on the CPU.

        Examples whose output is NaN are in no cell.

        Raises:
            DataError: there was no example, or a label out of range.
        """
        return self._read()[0]

    def state(self) -> Mapping[str, Tensor]:
        return {} if self.counts is None else {"counts": self.counts}

    def _read(self) -> tuple[Tensor, str | None]:
        """The matrix, and why no metric can follow from it."""
        counts = None if self.counts is None else self.counts.cpu()
        if counts is None or not bool(counts.any()):
            raise no_examples(self.name)
        nan, _, stray = counts[-3:].tolist()
        if stray:
            raise labels_out_of_range(f"{stray} others", self.num_classes)
        matrix = counts[:-3].view(self.num_classes, self.num_classes)
        if nan:
            return matrix, f"{nan} outputs are NaN"
        return matrix, None if bool(matrix.any()) else "no target counts"


class BalancedAccuracy(ConfusionMatrix):
    """Mean over classes of the share of a class that is recognised; classes without an example are left out."""

    name = "balanced_accuracy"

    def compute(self) -> Estimate:
        matrix, why_not = self._read()
        if why_not:
            return undefined(why_not, count=int(matrix.sum()))
        occurs = matrix.sum(1) > 0
        return mean_of_rates(matrix.diagonal()[occurs].tolist(), matrix.sum(1)[occurs].tolist())


class F1(ConfusionMatrix):
    """Harmonic mean of precision and recall: of class 1 for two classes, else the unweighted mean over classes.

    Classes that neither occur nor are predicted are left out, as scikit-learn does. For two classes the interval is
    exact in form: F1 is an increasing function of the rate ``tp / (tp + fp + fn)``. For the mean over classes it is the
    score interval of as many trials as have its variance; it holds its level from about ten examples a class on.

    Args:
        num_classes: classes of the task.

    Source of the variance: the delta method, Takahashi, Yamamoto, Kuchiba and Koyama, Applied Intelligence 52 (2022).
    """

    name = "f1"

    def compute(self) -> Estimate:
        counts, why_not = self._read()
        count = int(counts.sum())
        if why_not:
            return undefined(why_not, count=count)
        matrix: Matrix = counts.double().numpy()
        if self.num_classes == 2:
            union = count - int(matrix[0, 0])
            if union == 0:
                return undefined("class 1 neither occurs nor is predicted", count=count)
            interval = f1_of_jaccard(wilson(float(matrix[1, 1]), union))
            return Estimate(interval.value, interval.low, interval.high, count, interval.method)
        seen = (matrix.sum(0) + matrix.sum(1)) > 0
        matrix = matrix[np.ix_(seen, seen)]
        value = float(_f1_by_class(matrix).mean())
        size = _trials_of_macro_f1(matrix) if len(matrix) > 1 else count
        return Estimate(value, *wilson_bounds(value, size), count, "wilson, delta variance")


def _f1_by_class(matrix: Matrix) -> Matrix:
    f1: Matrix = 2 * np.diagonal(matrix) / (matrix.sum(0) + matrix.sum(1))
    return f1


def _trials_of_macro_f1(matrix: Matrix) -> float:
    """How many independent trials have the variance of the mean F1 of classes that all occur or are predicted."""
    classes, count = len(matrix), matrix.sum()
    # Half a right and half a wrong example to each class, or a few that were all right would pass for certain.
    matrix = matrix + np.where(np.eye(classes) > 0, 0.5, 0.5 / (classes - 1))
    f1 = _f1_by_class(matrix)
    shares = matrix / matrix.sum()
    slope = 1 / (shares.sum(0) + shares.sum(1))
    # How much an example in a cell moves the sum over classes: the F1 of its two classes falls, unless they are one.
    influence = 2 * np.diag(slope) - np.add.outer(f1 * slope, f1 * slope)
    variance = (shares * influence**2).sum() / classes**2 / count
    return equivalent_trials(float(f1.mean()), float(variance))
