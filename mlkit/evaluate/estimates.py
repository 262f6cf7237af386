"""From the terms of every partition and row to named terms with intervals.

Not here: training (`mlkit.evaluate.decompose`) and the formulas of the losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from mlkit.evaluate import decomposition as named
from mlkit.evaluate.outputs import Floats, LossName
from mlkit.evaluate.pairs import ModelTerms, PairTerms
from mlkit.evaluate.terms import Term, estimated
from mlkit.evaluate.uncertainty import (
    Moment,
    Part,
    Scale,
    ends_of,
    half_square,
    level_parts,
    moment_of,
    rows_part,
    rows_to_resolve,
    training_set,
    units_part,
)
from mlkit.evaluate.zero_one import VoteTerms

ONE_PARTITION = "none: one partition shows no spread"
ONE_ROW = "none: one test row"
NO_SPREAD = "none: nothing varies"
GIVEN = "given, taken as exact"


def with_parts(
    name: str, value: float, parts: Sequence[Part | None] | None, *, rows: int, method: str, scale: Scale = "linear"
) -> Term:
    """A term from what makes it uncertain; None among the parts, or for all, means that one cannot be known."""
    if parts is None:
        return Term(name, value, method=ONE_PARTITION)
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return Term(name, value, method=ONE_ROW if rows < 2 else ONE_PARTITION)
    ends = ends_of(value, known, scale=scale)
    if ends is None:
        return Term(name, value, method=NO_SPREAD)
    return estimated(name, value, ends, method=method, rows_to_resolve=rows_to_resolve(value, known, rows))


Sources = Callable[[Floats], list[Part | None] | None]


def of_halves(
    found: PairTerms, *, loss: LossName, training_rows: int, soft: bool
) -> tuple[tuple[Term, ...], tuple[Term, ...], Term]:
    """Terms, parts of the variance, and total.

    Args:
        found: terms of every partition and row.
        loss: its name.
        training_rows: of the whole training set.
        soft: the noise is that of soft labels, which differs from row to row; else it was given as exact.
    """
    rows = found.loss.shape[1]
    moment = moment_of(found.moves, rows)
    data, seed, of_seed = _parts(found, moment, training_rows)
    of_variance = [
        rows_part(found.variance),
        _moved(moment),
        training_set(float(found.variance.mean()) if data is None else data.value, training_rows, found.residuals),
        *of_seed,
    ]
    variance = with_parts(
        named.VARIANCE,
        float(found.variance.mean()),
        of_variance,
        rows=rows,
        method="rows, partitions, one training set, t, logarithmic",
        scale="logarithmic",
    )
    sources = partial(_level, halves=found.halves, moment=moment)
    method = "rows and training sets, t"
    total = with_parts("expected loss", float(found.loss.mean()), sources(found.loss), rows=rows, method=method)
    rest = _rest(found.bias_and_noise, found.noise, sources, loss=loss, soft=soft, method=method)
    return (*rest, variance), tuple(part for part in (data, seed) if part is not None), total


def of_models(found: ModelTerms, *, loss: LossName, soft: bool) -> tuple[tuple[Term, ...], Term]:
    """Terms and total of independent models; the arguments as in `of_halves`."""
    rows = found.loss.shape[1]
    method = "jackknife over models, and rows, t"
    variance = with_parts(
        named.VARIANCE,
        float(found.variance.mean()),
        _of_units(found.variance),
        rows=rows,
        method=f"{method}, logarithmic",
        scale="logarithmic",
    )
    total = with_parts("expected loss", float(found.loss.mean()), _of_units(found.loss), rows=rows, method=method)
    rest = _rest(found.bias_and_noise, found.noise, _of_units, loss=loss, soft=soft, method=method)
    return (*rest, variance), total


def of_votes(found: VoteTerms) -> tuple[tuple[Term, ...], tuple[Term, ...], Term]:
    """B, V_u, V_b; the disagreement of halves where there are halves; and the total."""
    rows = found.loss.shape[1]
    wrong = with_parts(
        named.WRONG, float(found.wrong.mean()), [rows_part(found.wrong[None])], rows=rows, method="rows, t"
    )
    effects = [
        with_parts(name, float(values.mean()), _of_units(values), rows=rows, method="rows and units, vote held, t")
        for name, values in ((named.HURTS, found.hurts), (named.HELPS, found.helps))
    ]
    parts = (
        _of_units(found.loss)
        if found.halves is None
        else (_level(found.loss, halves=found.halves, moment=_nothing(found.halves)))
    )
    total = with_parts("expected loss", float(found.loss.mean()), parts, rows=rows, method="rows and training sets, t")
    extra: tuple[Term, ...] = ()
    if found.disagreement is not None:
        values = found.disagreement
        extra = (
            with_parts(
                named.DISAGREEMENT, float(values.mean()), _of_units(values), rows=rows, method="rows and partitions, t"
            ),
        )
    return (wrong, *effects), extra, total


def doubling(halves: Floats, full: Floats, found: PairTerms | None, *, training_rows: int) -> tuple[Term, Term]:
    """Loss of models of all rows, and by how much it is below that of half of them, on the same test rows.

    Args:
        halves: ``(R, m)`` loss of models of halves.
        full: ``(S, m)`` of models of all rows.
        found: the terms of the halves; None for 0-1 loss.
        training_rows: of the whole training set.
    """
    rows = full.shape[1]
    gain = halves - full.mean(0)
    amount = float(gain.mean())
    parts = [rows_part(gain), units_part(halves)]
    if found is not None:
        parts = [rows_part(gain), _shown(amount, found), training_set(amount, training_rows, found.residuals)]
    if len(full) > 1:
        parts.append(units_part(full))
    seeds = "" if len(full) > 1 else "; the full model's own seed is left out"
    method = f"same rows, partitions, t{seeds}"
    value = with_parts(named.DOUBLING, amount, parts, rows=rows, method=method, scale="either")
    level = with_parts(
        "loss of full data", float(full.mean()), [rows_part(full)], rows=rows, method="rows, t, for this training set"
    )
    return level, value


def _shown(amount: float, found: PairTerms) -> Part | None:
    """What partitions do to the gain: for learners linear in their rows it is half the variance, and moves as that.

    Others gain more; their gain is taken to move by as much more.
    """
    moment = moment_of(found.moves, found.loss.shape[1])
    expected = float(found.variance.mean()) / 2
    weight = max(amount / expected, 1.0) if expected > 0 else 1.0
    return None if moment is None else half_square(moment, moment.count, weight=weight / 2)


def _moved(moment: Moment | None) -> Part | None:
    return None if moment is None else half_square(moment, moment.count)


def _parts(
    found: PairTerms, moment: Moment | None, training_rows: int
) -> tuple[Term | None, Term | None, list[Part | None]]:
    """Data part and seed part of the variance, and what the seeds make uncertain of the whole."""
    if found.seed is None or found.seed_moves is None:
        return None, None, []
    rows, seeds = found.loss.shape[1], found.seeds
    between = moment_of(found.seed_moves, rows)
    cells = 2 * len(found.loss) * (seeds - 1)

    def of_seed(weight: float) -> Part | None:
        return None if between is None else half_square(between, cells, weight=weight)

    seed = with_parts(
        named.SEED,
        float(found.seed.mean()),
        [rows_part(found.seed), of_seed(1.0)],
        rows=rows,
        method="rows and seeds, t, logarithmic",
        scale="logarithmic",
    )
    rest = found.variance - found.seed
    amount = float(rest.mean())
    # The halves' means move by the data and by an S-th of the seeds' variance, which is taken off again.
    sources = [
        rows_part(rest),
        _moved(moment),
        of_seed(1 / seeds),
        training_set(amount, training_rows, found.residuals),
    ]
    method = "rows, partitions, seeds, one training set, t"
    data = with_parts(named.DATA, amount, sources, rows=rows, method=method, scale="either")
    return data, seed, [of_seed(1 - 1 / seeds)]


def _level(values: Floats, *, halves: Floats, moment: Moment | None) -> list[Part | None] | None:
    parts = level_parts(halves, moment)
    return None if parts is None else [rows_part(values, once=False), *parts]


def _of_units(values: Floats) -> list[Part | None] | None:
    return [rows_part(values), units_part(values)]


def _nothing(halves: Floats) -> Moment | None:
    """Votes have no moment; then only the halves' difference counts."""
    return None if len(halves) < 2 else Moment(0.0, len(halves), len(halves))


def _rest(
    values: Floats, noise: Floats | None, sources: Sources, *, loss: LossName, soft: bool, method: str
) -> tuple[Term, ...]:
    """What is not variance: one term, or noise and bias where the noise is known."""
    rows = values.shape[1]
    if noise is None:
        name = named.bias_and_noise(loss)
        return (with_parts(name, float(values.mean()), sources(values), rows=rows, method=method),)
    amount = float(noise.mean())
    level = Term(named.NOISE, amount, resolved=amount > 0, method=GIVEN)
    if soft and float(np.ptp(noise)) > 0:
        level = with_parts(named.NOISE, amount, [rows_part(noise[None])], rows=rows, method="rows, t")
    rest = values - noise
    return level, with_parts(named.BIAS[loss], float(rest.mean()), sources(rest), rows=rows, method=method)
