"""The simple predictors: a constant, a copy of the past, regressions, neighbours, trees, counts of tokens.

Not here: judging them (`mlkit.evaluate.baselines`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Split
from mlkit.runtime.keys import generator
from mlkit.task import Task

Floats = NDArray[np.float64]
NEIGHBOURS = 5
_SURE = 1e-3
"""Least probability of a class where a predictor gives 0, so that one rare error does not make the loss infinite."""
_ALPHA = 0.1
"""Added to every count of tokens, for the same reason."""
_TREE_FEATURES, _MOST_FEATURES = 64, 128
"""Trees on more features than the latter see so many principal components: seconds instead of many minutes."""


@dataclass(frozen=True)
class Fitted:
    """A predictor that was fitted.

    Args:
        predict: from a split to what a model would put out (logits, or numbers), and the targets.
        note: what was chosen.
    """

    predict: Callable[[Split], tuple[Tensor, Tensor]]
    note: str = ""


Fit = Callable[[], Fitted]


def fits_for(data: DataBundle, *, most_rows: int, seed: int) -> tuple[int, list[tuple[str, Fit]]]:
    """How many rows of ``train`` are used, and the predictors for the task, by name, the constant answer first."""
    task, count = data.task, len(data.train)
    index = torch.arange(count)
    if count > most_rows:
        index = torch.randperm(count, generator=generator(seed, "baseline rows"))[:most_rows].sort().values
    batch = data.train.gather(index.to(data.train.device))
    if task.kind == "next_token":
        targets = batch.targets.cpu()
        previous = batch.inputs[0].cpu() if isinstance(batch.inputs, tuple) else next(iter(batch.inputs.values())).cpu()
        return len(index), [
            ("unigram frequencies", lambda: _unigrams(targets, task)),
            ("bigram frequencies", lambda: _bigrams(previous, targets, task)),
        ]
    table, targets = _features(data.train, task, index)
    if task.kind == "classification":
        labels = targets.numpy()
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier

        trees = HistGradientBoostingClassifier(max_iter=60, random_state=seed, early_stopping=False)
        return len(index), [
            ("most frequent class", lambda: _frequencies(labels, task)),
            ("logistic regression", lambda: _classifier(LogisticRegression(max_iter=200), table, labels, task)),
            (
                f"{NEIGHBOURS} nearest neighbours",
                lambda: _classifier(KNeighborsClassifier(NEIGHBOURS), table, labels, task),
            ),
            ("gradient-boosted trees", lambda: _classifier(trees, table, labels, task, trees=True)),
        ]
    values = np.asarray(targets.numpy(), dtype=np.float64)
    found: list[tuple[str, Fit]] = [("mean", lambda: _mean(values))]
    if task.input_kind == "series":
        series = batch.inputs[0].cpu() if isinstance(batch.inputs, tuple) else next(iter(batch.inputs.values())).cpu()
        found.append(("last value", lambda: _copy(series, values, season=False)))
        found.append(("seasonal naive", lambda: _copy(series, values, season=True)))
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.neighbors import KNeighborsRegressor

    grown: Any = HistGradientBoostingRegressor(max_iter=100, random_state=seed, early_stopping=False)
    grown = MultiOutputRegressor(grown) if values.shape[1] > 1 else grown
    found += [
        ("linear regression", lambda: _regressor(RidgeCV(alphas=np.logspace(-3, 3, 7)), table, values, task)),
        (f"{NEIGHBOURS} nearest neighbours", lambda: _regressor(KNeighborsRegressor(NEIGHBOURS), table, values, task)),
        ("gradient-boosted trees", lambda: _regressor(grown, table, values, task, trees=True)),
    ]
    return len(index), found


def _features(split: Split, task: Task, index: Tensor | None = None) -> tuple[Floats, Tensor]:
    """One row of numbers an example: tokens counted, categories as columns of 0 and 1, everything else flattened."""
    index = torch.arange(len(split)) if index is None else index
    batch = split.gather(index.to(split.device))
    inputs = list(batch.inputs.values()) if not isinstance(batch.inputs, tuple) else list(batch.inputs)
    inputs = inputs[:-1] if task.has_lengths else inputs
    parts = []
    for number, tensor in enumerate(inputs):
        x = tensor.cpu()
        if task.input_kind == "tokens":
            counts = torch.zeros(len(x), task.vocab_size or int(x.max()) + 1)
            parts.append(counts.scatter_add_(1, x.long(), torch.ones_like(x, dtype=counts.dtype)))
        elif task.input_kind == "table" and number == 1:
            sizes = task.cardinalities
            columns = [torch.nn.functional.one_hot(x[:, i].long(), size) for i, size in enumerate(sizes)]
            parts.append(torch.cat(columns, 1).float())
        else:
            parts.append(x.flatten(1).float())
    return np.nan_to_num(torch.cat(parts, 1).double().numpy()), batch.targets.cpu()


def _frequencies(labels: NDArray[np.int64], task: Task) -> Fitted:
    counts = np.bincount(labels[labels >= 0], minlength=task.num_outputs)
    logits = torch.from_numpy(np.log(np.maximum(counts / counts.sum(), _SURE)))

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        targets = _targets(split)
        return logits.expand(len(targets), -1), targets

    name = task.class_names[int(counts.argmax())] if task.class_names else str(counts.argmax())
    return Fitted(predict, f"class {name}, {counts.max() / counts.sum():.1%} of train")


def _mean(values: Floats) -> Fitted:
    middle = torch.from_numpy(values.mean(0))

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        targets = _targets(split).double()
        return middle.expand(len(targets), -1), targets

    return Fitted(predict)


def _copy(series: Tensor, values: Floats, *, season: bool) -> Fitted:
    """Each output as a copy of one past value: the last of the channel that it follows, or the one closest on train."""
    past = series.double()  # (N, T, C)
    targets = torch.from_numpy(values)
    places = []
    for column in range(targets.shape[1]):
        wrong = (past - targets[:, column, None, None]).square().mean(0)  # (T, C)
        if season:
            best = int(wrong.argmin())
            places.append((best // wrong.shape[1], best % wrong.shape[1]))
        else:
            places.append((wrong.shape[0] - 1, int(wrong[-1].argmin())))
    times, channels = (torch.tensor(one) for one in zip(*places, strict=True))

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        batch = split.gather(torch.arange(len(split), device=split.device))
        x = batch.inputs[0] if isinstance(batch.inputs, tuple) else next(iter(batch.inputs.values()))
        return x.cpu().double()[:, times, channels], batch.targets.cpu().double()

    lags = sorted({past.shape[1] - time for time, _ in places})
    return Fitted(predict, f"{', '.join(map(str, lags[:6]))} steps before the window's end" if season else "")


def _classifier(estimator: Any, table: Floats, labels: NDArray[np.int64], task: Task, *, trees: bool = False) -> Fitted:
    from sklearn.exceptions import ConvergenceWarning

    labelled = labels >= 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nothing is tuned; a few more iterations change little
        pipeline = _pipeline(estimator, table.shape[1], trees=trees).fit(table[labelled], labels[labelled])

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        rows, targets = _features(split, task)
        shares = np.full((len(rows), task.num_outputs), _SURE)
        shares[:, pipeline.classes_] = np.maximum(pipeline.predict_proba(rows), _SURE)
        return torch.from_numpy(np.log(shares / shares.sum(1, keepdims=True))), targets

    return Fitted(predict, _seen(table.shape[1], trees=trees))


def _regressor(estimator: Any, table: Floats, values: Floats, task: Task, *, trees: bool = False) -> Fitted:
    fitted = values[:, 0] if values.shape[1] == 1 else values
    pipeline = _pipeline(estimator, table.shape[1], trees=trees).fit(table, fitted)

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        rows, targets = _features(split, task)
        return torch.from_numpy(pipeline.predict(rows).reshape(len(rows), -1)), targets.double()

    return Fitted(predict, _seen(table.shape[1], trees=trees))


def _pipeline(estimator: Any, features: int, *, trees: bool) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not trees:
        return make_pipeline(StandardScaler(), estimator)
    return make_pipeline(PCA(_TREE_FEATURES, random_state=0), estimator) if features > _MOST_FEATURES else estimator


def _seen(features: int, *, trees: bool) -> str:
    return (
        f"on {_TREE_FEATURES} principal components of {features} features"
        if trees and features > _TREE_FEATURES
        else ""
    )


def _unigrams(targets: Tensor, task: Task) -> Fitted:
    counts = torch.bincount(targets.flatten().long(), minlength=task.num_outputs).double() + _ALPHA
    logits = (counts / counts.sum()).log()

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        held = _targets(split)
        return logits.expand(*held.shape, -1), held

    return Fitted(predict)


def _bigrams(previous: Tensor, targets: Tensor, task: Task) -> Fitted:
    size = task.num_outputs
    pairs = previous.flatten().long() * size + targets.flatten().long()
    counts = torch.bincount(pairs, minlength=(task.vocab_size or size) * size).double().view(-1, size) + _ALPHA
    logits = (counts / counts.sum(1, keepdim=True)).log()

    def predict(split: Split) -> tuple[Tensor, Tensor]:
        batch = split.gather(torch.arange(len(split), device=split.device))
        x = batch.inputs[0] if isinstance(batch.inputs, tuple) else next(iter(batch.inputs.values()))
        return logits[x.cpu().long()], batch.targets.cpu()

    return Fitted(predict)


def _targets(split: Split) -> Tensor:
    return split.targets.cpu()
