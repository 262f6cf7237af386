"""`data.scaler-leak`: statistics fitted on more than the training split."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place, rounded

DRAWS = 4.0
"""Standard deviations that the statistics of a random part are off at most, the largest of many features."""


@rule("data.scaler-leak")
def check(facts: Facts) -> Iterator[Finding]:
    """The scaler was fitted on validation data too.

    Mean and deviation (or range) were taken of all rows before the split. Validation then helped to prepare its own
    test: little where rows are drawn at random, much where the series drifts.

    Proof: training and validation together have mean 0 and deviation 1 (or range 0 to 1) to rounding, training alone
    has not. Less sure: a scaler of scikit-learn was fitted on as many rows as both parts have.

    Buggy::

        scaler.fit(series)
        train, val = scaler.transform(series[:cut]), scaler.transform(series[cut:])

    Fixed::

        scaler.fit(series[:cut])

    Where rows are no series and the parts were drawn at random, training's own statistics differ from those of all
    rows no more than chance brings about, and the leak is as small: that is told as info.

    Healthy look-alikes: constants from the literature, statistics of each sample, layers that normalise: none of them
    makes the union exact.

    Seen in: udacity/deep-learning#143; microsoft/qlib#770; LeiBAI/AGCRN#15.
    """
    splits = evaluation(facts, "data-splits")
    found = part(splits, "scaler")
    if not found:
        return
    is_exact = found["kind"] != "fit"
    if is_exact:
        what = "mean 0 and deviation 1" if found["kind"] == "standard" else "range 0 to 1"
        message = f"inputs were scaled with statistics of training and validation together: only both have {what}"
    else:
        message = (
            f"{found['scaler']} was fitted on {found['rows']} rows, more than the {found['train_rows']} of training"
        )
    off, chance = found.get("off_train"), found.get("by_chance")
    is_measurable = (
        bool(found.get("is_series"))
        or not isinstance(off, float)
        or not isinstance(chance, float)
        or off > DRAWS * chance
    )
    yield Finding(
        "data.scaler-leak",
        message,
        severity="warning" if is_measurable else "info",
        site=place(found.get("site"), splits.get("site")),
        evidence={
            "rows of the statistics": found["rows"],
            "rows of training": found["train_rows"],
            "off by, both together": rounded(found.get("off_union")),
            "off by, training alone": rounded(found.get("off_train")),
        },
        mechanism="validation rows take part in the scaling → the score is not one on unseen data → optimistic, "
        "more so if data drift",
        fix="fit the scaler on the training rows alone, then transform both",
        confidence=0.9 if is_exact else 0.75,
    )
