"""Decompose worlds whose noise, bias and variance are known, with mlkit and with others; and what sixteen models cost.

Claims: mlkit's terms are right within their Monte-Carlo error where the bootstrap's are not, on least squares (C3) and
on a histogram classifier (C9); and a decomposition with K = 16 of an MLP on digits takes at most three times as long
as one full training. All tools get the same data sets. Each is held against the truth for the training sets that it
means to describe: half of the rows for mlkit, all of them for the others. mlxtend is called as its documentation
says, with its 200 rounds; biasvariance-toolkit with its 20 models and 100 epochs, at a rate at which they converge.

Run: python benchmarks/decomposition.py [--repeats 30] [--only terms|cost] (in an environment that has the others)
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from harness import is_installed, ratio, save, show, summary, versions
from numpy.typing import NDArray
from torch import nn

import mlkit.evaluate as ev
from mlkit import models

Floats = NDArray[np.float64]
World = tuple[Floats, NDArray[Any], Floats, NDArray[Any]]
Terms = dict[str, float]
ROWS, COLUMNS, TEST = 100, 10, 2000
CELLS, LABELS, ETA, EACH = 40, 10, 0.7, 50
SLOW = 10  # repeats of the toolkit, which trains 20 models by gradient descent each time


def least_squares(x: Floats, y: Floats, seed: int) -> Callable[[Floats], Floats]:
    weights = np.linalg.lstsq(np.c_[np.ones(len(x)), x], y, rcond=None)[0]
    return lambda rows: (np.c_[np.ones(len(rows)), rows] @ weights)[:, None]


def linear_world(rng: np.random.Generator) -> World:
    x, x_test = rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=(TEST, COLUMNS))
    return x, x.sum(1) + rng.normal(size=ROWS), x_test, x_test.sum(1) + rng.normal(size=TEST)


def linear_truth(n: int) -> Terms:
    """Least squares with intercept on normal columns, noise variance 1 (C3)."""
    variance = (n + 1) * (n - 2) / (n * (n - COLUMNS - 2)) - 1
    return {"noise + bias": 1.0, "variance": variance, "loss": 1 + variance}


def cell_world(rng: np.random.Generator) -> World:
    x, x_test = (np.eye(CELLS)[np.repeat(np.arange(CELLS), each)] for each in (LABELS, EACH))
    return x, (rng.random(len(x)) < ETA).astype(int), x_test, (rng.random(len(x_test)) < ETA).astype(int)


def cell_truth(n: int) -> Terms:
    """The more frequent class of a cell, of equal ones the first (C9); variance is the share that differs."""
    wrong = sum(math.comb(n, k) * ETA**k * (1 - ETA) ** (n - k) for k in range(n // 2 + 1))
    return {"noise + bias": 1 - ETA, "variance": wrong, "loss": 1 - ETA + (2 * ETA - 1) * wrong}


def histogram(x: Floats, y: NDArray[Any], seed: int) -> Callable[[Floats], Floats]:
    rate = (y @ x + 1) / (x.sum(0) + 2)
    return lambda rows: np.stack([1 - rows @ rate, rows @ rate], 1)


class Histogram:
    """The same for mlxtend."""

    def fit(self, x: Floats, y: NDArray[Any]) -> Histogram:
        self.predicts = histogram(x, y, 0)
        return self

    def predict(self, x: Floats) -> NDArray[Any]:
        return np.asarray(self.predicts(x).argmax(1))


def by_mlkit(world: World, size: Any, *, linear: bool, seed: int) -> Terms:
    x, y, x_test, y_test = world
    if linear:
        found = ev.decompose(least_squares, (x, y), test=(x_test, y_test), loss="squared", size=size, seed=seed)
        return {
            "noise + bias": found.term("bias² + noise").value,
            "variance": found.term("variance").value,
            "loss": found.total.value,
        }
    found = ev.decompose(
        histogram,
        (x, y),
        test=(x_test, y_test),
        loss="zero_one",
        outputs="probabilities",
        strata=x.argmax(1),
        size=size,
        seed=seed,
    )
    wrong, hurts, helps = (term.value for term in found.terms)
    # Of independent models, 2 v (1 - v) of all pairs disagree: solved for the share v that differs.
    disagree = min(found.term("disagreement of halves").value, 0.5)
    return {
        "noise + bias": wrong,
        "variance": hurts + helps,
        "variance by disagreement": (1 - math.sqrt(1 - 2 * disagree)) / 2,
        "loss": found.total.value,
    }


def by_mlxtend(world: World, *, linear: bool, seed: int) -> Terms:
    from mlxtend.evaluate import bias_variance_decomp
    from sklearn.linear_model import LinearRegression

    x, y, x_test, y_test = world
    estimator, loss = (LinearRegression(), "mse") if linear else (Histogram(), "0-1_loss")
    total, bias, variance = bias_variance_decomp(estimator, x, y, x_test, y_test, loss=loss, random_seed=seed)
    return {"noise + bias": float(bias), "variance": float(variance), "loss": float(total)}


class Line(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.line = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(x)  # type: ignore[no-any-return]


def by_toolkit(world: World, *, linear: bool, seed: int) -> Terms:
    import biasvariance_toolkit as toolkit

    x, y, x_test, y_test = world
    np.random.seed(seed)  # the tool draws from the process-wide streams
    torch.manual_seed(seed)
    common: dict[str, Any] = {"X_train": x, "X_test": x_test, "lr": 0.05}
    with contextlib.redirect_stdout(io.StringIO()):
        if linear:
            found = toolkit.estimate_bias_variance_mse(
                Line,
                y_train=y[:, None],
                y_test=y_test[:, None],
                loss_fn=nn.MSELoss(),
                model_kwargs={"inputs": COLUMNS, "outputs": 1},
                **common,
            )
        else:
            found = toolkit.estimate_bias_variance_0_1(
                Line,
                y_train=y,
                y_test=y_test,
                loss_fn=nn.CrossEntropyLoss(),
                model_kwargs={"inputs": CELLS, "outputs": 2},
                **common,
            )
    bias, variance, total = found[:3]
    return {"noise + bias": float(bias), "variance": float(variance), "loss": float(total)}


def compared(name: str, make: Callable[[np.random.Generator], World], *, linear: bool, repeats: int) -> dict[str, Any]:
    """Every tool on the same data sets, against the truth of what it describes."""
    truth = linear_truth if linear else cell_truth
    n = ROWS if linear else LABELS
    tools: list[tuple[str, int, int, Callable[[World, int], Terms]]] = [
        ("mlkit, 16 models", n // 2, repeats, lambda w, s: by_mlkit(w, "default", linear=linear, seed=s)),
        ("mlkit, 64 models", n // 2, repeats, lambda w, s: by_mlkit(w, "paper", linear=linear, seed=s)),
    ]
    if is_installed("mlxtend"):
        tools.append(("mlxtend, 200 refits", n, repeats, lambda w, s: by_mlxtend(w, linear=linear, seed=s)))
    if is_installed("biasvariance-toolkit"):
        few = min(SLOW, repeats)
        tools.append(("biasvariance-toolkit, 20 models", n, few, lambda w, s: by_toolkit(w, linear=linear, seed=s)))
    figures: dict[str, Any] = {}
    for tool, size, times, run in tools:
        rng, found, seconds = np.random.default_rng(0), [], []
        for seed in range(times):
            world = make(rng)
            begin = time.perf_counter()
            found.append(run(world, seed))
            seconds.append(time.perf_counter() - begin)
        exact = truth(size)
        figures[tool] = {
            "training_rows": size,
            "seconds": summary(seconds),
            "terms": {key: _against([one[key] for one in found], exact[key.split(" by ")[0]]) for key in found[0]},
        }
    show(
        name,
        ["tool", "term", "truth", "mean found", "± 2 SE", "off by", "seconds"],
        [
            [
                tool,
                key,
                f"{one['truth']:.4f}",
                f"{one['mean']:.4f}",
                f"{2 * one['standard_error']:.4f}",
                f"{one['off']:+.0%}",
                f"{figure['seconds']['median']:.2f}",
            ]
            for tool, figure in figures.items()
            for key, one in figure["terms"].items()
        ],
    )
    return {"tools": figures}


def _against(values: Sequence[float], truth: float) -> dict[str, float]:
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    rounded = {"truth": truth, "mean": mean, "standard_error": error, "off": mean / truth - 1, "repeats": len(values)}
    return {key: round(value, 5) for key, value in rounded.items()}


def digits() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = torch.tensor(found.data / 16).float(), torch.tensor(found.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[360:], order[:360]
    return (x[train], y[train]), (x[test], y[test])


def costs(rounds: int) -> dict[str, Any]:
    """Seconds of one full training by `fit`, and of a decomposition with K = 16 of the same learner."""
    (x, y), (x_test, y_test) = digits()
    images, images_test = x.reshape(-1, 1, 8, 8), x_test.reshape(-1, 1, 8, 8)
    series, series_test = x.reshape(-1, 8, 8), x_test.reshape(-1, 8, 8)
    cases: list[tuple[str, Callable[[int], nn.Module], torch.Tensor, torch.Tensor, int]] = [
        ("MLP 64-64-64-10", lambda seed: models.mlp(64, 10, hidden=(64, 64), seed=seed), x, x_test, 60),
        ("LeNet 8x8", lambda seed: models.lenet(10, image_size=8, seed=seed), images, images_test, 15),
        ("LSTM, 32 units, 8 steps", lambda seed: models.lstm(8, 10, hidden=32, seed=seed), series, series_test, 15),
    ]
    figures: dict[str, Any] = {}
    for name, make, rows, rows_test, epochs in cases:
        learner = ev.Trained(make, max_epochs=epochs, lr=1e-3)
        once, sixteen = [], []
        for _ in range(rounds):
            begin = time.perf_counter()
            learner(rows, y, 0)
            middle = time.perf_counter()
            ev.decompose(learner, (rows, y), test=(rows_test, y_test))
            once.append(middle - begin)
            sixteen.append(time.perf_counter() - middle)
        figures[name] = {
            "epochs": epochs,
            "one_training": summary(once),
            "decomposition": summary(sixteen),
            "ratio": ratio(sixteen, once),
        }
    show(
        "Cost of K = 16 on halves of digits, one thread",
        ["model", "one training, s", "decomposition, s", "times"],
        [
            [
                name,
                f"{f['one_training']['median']:.2f}",
                f"{f['decomposition']['median']:.2f}",
                f"{f['ratio']['median']:.1f}",
            ]
            for name, f in figures.items()
        ],
    )
    return {"models": figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("terms", "cost"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    peers = {"peers": versions(("mlxtend", "biasvariance-toolkit", "scikit-learn"))}
    if options.only != "cost":
        for key, title, make, linear in (
            ("least_squares", "C3: least squares, 100 rows, 10 columns", linear_world, True),
            ("histogram", "C9: 40 cells of 10 labels, 0-1 loss", cell_world, False),
        ):
            save("decomposition", key, {**peers, **compared(title, make, linear=linear, repeats=options.repeats)})
    if options.only != "terms":
        save("decomposition", "cost", costs(options.rounds))


if __name__ == "__main__":
    main()
