"""`decompose`: noise, bias and variance of a learner, by training it on random disjoint halves of the data.

Not here: gaps between the splits of one trained model (`mlkit.evaluate.ladder`), nor models of data sets that the user
drew independently (`mlkit.evaluate.independent`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Split
from mlkit.errors import ConfigError, DataError
from mlkit.evaluate import brier, cross_entropy, squared, zero_one
from mlkit.evaluate import decomposition as named
from mlkit.evaluate.decomposition import Decomposition, Sizes
from mlkit.evaluate.estimates import doubling, of_halves, of_votes
from mlkit.evaluate.known_noise import checked_noise, checked_soft
from mlkit.evaluate.learners import Inputs, Job, Learner, carry_out
from mlkit.evaluate.outputs import (
    Classes,
    Floats,
    LossName,
    Outputs,
    Predictions,
    check_loss,
    formed,
    numbers,
    targets_of,
)
from mlkit.evaluate.pairs import PairTerms
from mlkit.evaluate.partition import Rows, halves
from mlkit.evaluate.terms import Term
from mlkit.runtime.keys import derive_seed

SIZES = {"quick": (2, 1), "default": (4, 2), "paper": (16, 2)}
"""Partitions and seeds; K = 2 x partitions x seeds models."""
SEEDS = 2**31  # what numpy and scikit-learn take as a seed

Data = DataBundle | tuple[Inputs, Predictions]


def decompose(
    learner: Learner,
    data: Data,
    *,
    test: tuple[Inputs, Predictions] | None = None,
    loss: LossName = "cross_entropy",
    size: Literal["quick", "default", "paper"] | tuple[int, int] = "default",
    outputs: Outputs | None = None,
    noise: float | Predictions | None = None,
    soft_labels: Predictions | None = None,
    full: bool = False,
    strata: Predictions | None = None,
    groups: Predictions | None = None,
    seed: int = 0,
) -> Decomposition:
    """Split the expected loss of a learner into noise, bias and variance.

    The training set is cut at random into halves A and B, R times; S models with different seeds are trained on each
    half. Models of A and B are independent, which makes the estimates unbiased: no bootstrap, whose models share rows,
    does that. What comes out holds for training sets of half the size; ``full`` measures how far that is from all data.

    Args:
        learner: ``learner(x, y, seed) -> predict`` with ``predict(x) -> (m, outputs)``, such as `Trained`. With a
            method ``fit_many(x, y, jobs)`` it trains all models at once.
        data: ``(x, y)`` to train on, first axis = independent rows; or a bundle, whose ``train`` is taken.
        test: ``(x, y)`` to judge on, never seen in training. None: the bundle's ``test``, else its ``val``.
        loss: ``"squared"`` (mean over outputs), ``"cross_entropy"``, ``"brier"`` (sum over classes) or ``"zero_one"``.
        size: ``"quick"`` (2 partitions, 1 seed, 4 models), ``"default"`` (4, 2, 16), ``"paper"`` (16, 2, 64), or
            ``(partitions, seeds)``. More partitions narrow the intervals until the one training set is the limit; one
            seed leaves data part and seed part of the variance together.
        outputs: what ``predict`` gives: ``"logits"`` or ``"probabilities"`` for classes (by default logits),
            ``"values"`` for numbers.
        noise: expected loss of the best possible prediction, if known from outside: one number or one a test row.
        soft_labels: probabilities ``(m, C)`` of the test rows' labels; then the loss is the expected one, noise is
            known and bias is shown by itself.
        full: also train S models on all rows: what the last doubling of data was worth.
        strata: ``(n,)``; share equal values equally between halves. Only for designs of fixed composition.
        groups: ``(n,)``; keep equal values together, where rows of a group depend on each other.
        seed: root of the partitions and of the models' seeds.

    Returns:
        Terms with 95 % intervals, the cached predictions, and the map of rows.

    Raises:
        ConfigError: settings that do not go together.
        DataError: data that do not fit.
        ModelError: predictions that do not fit or are not finite.

    Source: the U-statistic of two independent models; for neural networks Yang et al., ICML 2020; the split into data
    and seed Neal et al. (2018, arXiv:1810.08591).

    >>> def mean_learner(x, y, seed):
    ...     return lambda rows: np.full((len(rows), 1), np.mean(y))
    >>> x, y = np.zeros((200, 1)), np.random.default_rng(0).normal(size=200)
    >>> found = decompose(mean_learner, (x, y), test=(x, y), loss="squared", size="quick")
    >>> found.sizes.models, found.sizes.training_rows
    (4, 100)
    """
    kind = check_loss(loss, outputs)
    partitions, seeds = _counts(size)
    (x, y), (x_test, y_test) = _given(data, test)
    n, m = _rows(x, y, "training"), _rows(x_test, y_test, "test")
    if loss == "zero_one" and (noise is not None or soft_labels is not None):
        raise ConfigError("0-1 loss is not split into noise and bias", received="noise or soft_labels", allowed="None")
    jobs = _jobs(n, partitions, seeds, y=y, loss=loss, strata=strata, groups=groups, seed=seed, full=full)
    table = np.stack(
        [
            formed(predict(x_test), rows=m, loss=loss, outputs=kind, who=f"model {number}")
            for number, predict in enumerate(carry_out(learner, x, y, jobs))
        ]
    )
    columns = table.shape[2]
    target = targets_of(y_test, loss=loss, columns=columns, rows=m)
    soft = checked_soft(soft_labels, rows=m, columns=columns, loss=loss)
    known = checked_noise(noise, rows=m, soft=soft)
    count = 2 * partitions * seeds
    cells = table[:count].reshape(partitions, 2, seeds, m, columns)
    sizes = Sizes(count, partitions, seeds, len(jobs[0].rows), m)
    return _result(cells, table[count:], target, loss=loss, soft=soft, noise=known, sizes=sizes, n=n)


def pairs_of(
    cells: Floats, target: Floats | Classes, *, loss: LossName, soft: Floats | None, noise: Floats | None
) -> PairTerms:
    """The terms of every partition and row, for any loss but 0-1."""
    if loss == "squared":
        values = np.asarray(target, dtype=np.float64)
        return squared.pair_terms(cells, values, scale=1 / cells.shape[-1], noise=noise, add_noise=False)
    classes = np.asarray(target, dtype=np.int64)
    if loss == "brier":
        return brier.pair_terms(cells, classes, soft=soft, noise=noise)
    return cross_entropy.pair_terms(cells, classes, soft=soft, noise=noise)


def _result(
    cells: Floats,
    whole: Floats,
    target: Floats | Classes,
    *,
    loss: LossName,
    soft: Floats | None,
    noise: Floats | None,
    sizes: Sizes,
    n: int,
) -> Decomposition:
    notes = [_about_half(sizes)]
    extra: tuple[Term, ...] = ()
    found: PairTerms | None = None
    if loss == "zero_one":
        votes = zero_one.pair_terms(cells, np.asarray(target, dtype=np.int64))
        terms, extra, total = of_votes(votes)
        parts: tuple[Term, ...] = ()
        notes += notes_on_votes(sizes.models, shared=True)
        bias_rows, variance_rows, losses = votes.wrong, (votes.hurts + votes.helps).mean(0), votes.loss
    else:
        found = pairs_of(cells, target, loss=loss, soft=soft, noise=noise)
        terms, parts, total = of_halves(found, loss=loss, training_rows=n, soft=soft is not None)
        notes += notes_on_noise(loss, known=found.noise is not None)
        if sizes.seeds == 1:
            notes.append("one seed a half: data part and seed part of the variance are not told apart")
        bias_rows, variance_rows = found.bias_and_noise.mean(0), found.variance.mean(0)
        losses = found.loss
    full = None
    if len(whole):
        full, gain = doubling(losses, losses_of(whole, target, loss=loss, soft=soft), found, training_rows=n)
        extra = (*extra, gain)
    else:
        notes.append("full=True would measure what the last doubling of data was worth")
    return Decomposition(loss, terms, parts, extra, total, full, sizes, tuple(notes), bias_rows, variance_rows, cells)


def losses_of(table: Floats, target: Floats | Classes, *, loss: LossName, soft: Floats | None) -> Floats:
    """Loss of every model and row, ``(K, m)``."""
    if loss == "squared":
        return np.asarray(np.square(table - target).mean(-1), dtype=np.float64)
    classes = np.asarray(target, dtype=np.int64)
    if loss == "zero_one":
        return zero_one.model_terms(table, classes).loss
    return brier.losses(table, classes, soft) if loss == "brier" else cross_entropy.losses(table, classes, soft)


def notes_on_noise(loss: LossName, *, known: bool) -> list[str]:
    """What is to be said where the noise is not known."""
    if known:
        return []
    return [f"'{named.bias_and_noise(loss)}' is not bias: give noise= or soft_labels= to split it"]


def notes_on_votes(models: int, *, shared: bool) -> list[str]:
    """What is to be said of 0-1 effects; warns where the models are too few for a vote."""
    notes = ["error = B + V_u - V_b exactly; these are effects, not parts: V_b lowers the error"]
    if shared:
        notes.append(
            "the models share one training set, so their vote is that of its halves: B is above, V_u below "
            "what models of fresh data would show; the disagreement of halves has no such flaw"
        )
    if models < zero_one.FEWEST_MODELS:
        text = f"{models} models are too few for a vote: {zero_one.FEWEST_MODELS} or more are needed for B, V_u and V_b"
        warnings.warn(text, stacklevel=4)
        notes.append(text)
    return notes


def _about_half(sizes: Sizes) -> str:
    return f"all terms are for training sets of {sizes.training_rows:,} rows, half of those given"


def _counts(size: str | tuple[int, int]) -> tuple[int, int]:
    if isinstance(size, str) and size in SIZES:
        return SIZES[size]
    if isinstance(size, tuple) and len(size) == 2 and all(isinstance(part, int) and part >= 1 for part in size):
        return size
    raise ConfigError(
        "no such size",
        received=repr(size),
        allowed=f"{', '.join(SIZES)}, or (partitions, seeds) of 1 or more",
        todo='size="default" trains 16 models',
    )


def _given(
    data: Data, test: tuple[Inputs, Predictions] | None
) -> tuple[tuple[Inputs, Predictions], tuple[Inputs, Predictions]]:
    if isinstance(data, DataBundle):
        held = data.val if data.test is None else data.test
        return _gathered(data.train), _pair(test, "test") if test is not None else _gathered(held)
    if test is None:
        raise DataError("nothing to judge on", received="test=None", todo="pass test=(x, y), rows not trained on")
    return _pair(data, "data"), _pair(test, "test")


def _gathered(split: Split) -> tuple[Inputs, Predictions]:
    batch = split.gather(torch.arange(len(split), device=split.device))
    if not isinstance(batch.inputs, tuple):
        raise DataError("inputs by name cannot be handed to a learner", received="a mapping", allowed="tensors")
    return batch.inputs[0] if len(batch.inputs) == 1 else batch.inputs, batch.targets


def _pair(value: object, what: str) -> tuple[Any, Any]:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    raise DataError(f"{what} must be a pair (x, y)", received=type(value).__name__, allowed="(inputs, targets)")


def _rows(x: Inputs, y: Predictions, what: str) -> int:
    counts = {len(part) for part in (*(x if isinstance(x, tuple) else (x,)), y)}
    if len(counts) != 1 or 0 in counts:
        raise DataError(
            f"{what} inputs and targets differ in length, or there are none",
            received=", ".join(map(str, sorted(counts))),
            allowed="one target for each row of every input",
        )
    return counts.pop()


def _jobs(
    n: int,
    partitions: int,
    seeds: int,
    *,
    y: Predictions,
    loss: LossName,
    strata: Predictions | None,
    groups: Predictions | None,
    seed: int,
    full: bool,
) -> Sequence[Job]:
    labels: Rows | None = None
    if loss != "squared" and strata is None and groups is None:
        labels = np.unique(numbers(y), return_inverse=True)[1].reshape(-1)[:n]
    stratum, group = (None if given is None else numbers(given) for given in (strata, groups))
    cut = [halves(n, seed=seed, number=r, strata=stratum, groups=group, labels=labels) for r in range(partitions)]
    jobs = [
        Job(cut[r][h], derive_seed(seed, "model", r, h, s) % SEEDS)
        for r in range(partitions)
        for h in range(2)
        for s in range(seeds)
    ]
    whole = [Job(np.arange(n), derive_seed(seed, "full", s) % SEEDS) for s in range(seeds if full else 0)]
    return [*jobs, *whole]
