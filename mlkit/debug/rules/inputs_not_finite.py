"""`data.non-finite`: NaN or infinite inputs or targets."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import place


@rule("data.non-finite")
def check(facts: Facts) -> Iterator[Finding]:
    """The training examples hold NaN or infinite numbers.

    One NaN among the inputs makes the outputs, the loss and, after one step, every weight NaN. It comes from
    missing cells of a table, from a division by a deviation of zero, or from the logarithm of zero.

    Proof: the training tensors (or items that were read) are not finite, and no op of the program looks for that.

    Buggy::

        x = (table - mean) / std

    Fixed::

        x = torch.nan_to_num((table - mean) / std)    # or fill in, or drop the rows

    Healthy look-alikes: a mask of missing values (``isnan``, ``nan_to_num``, ``isfinite`` are called): info.

    Seen in: Stack Overflow 53640858, 51835124.
    """
    values = facts.probe("train/data-values")
    inputs, labels = values.get("bad_rows"), values.get("bad_labels")
    if not inputs and not labels:
        return
    what = "training inputs" if inputs else "training targets"
    columns = values.get("bad_columns")
    has_whole = bool(inputs and values.get("whole_columns"))
    yield Finding(
        "data.non-finite",
        f"{inputs or labels} of {values.get('rows')} {what} hold NaN or infinite numbers",
        severity="info" if values.get("handles_nan") else "error",
        site=place(values.get("site")),
        evidence={
            "examples with NaN or infinity": int(str(inputs or labels)),
            "examples": int(str(values.get("rows"))),
            "first": int(str(values.get("first_bad", values.get("first_bad_label", 0)))),
            "features": list(columns) if isinstance(columns, list) else [],
        },
        mechanism="NaN in → NaN loss → NaN gradients → after one step every weight is NaN",
        fix="std = std.clamp_min(1e-6)   # a constant column has deviation 0"
        if has_whole
        else "fill in or drop missing values before training: x = torch.nan_to_num(x)",
        confidence=0.99,
        explains=(
            "numeric.non-finite-gradient",
            "numeric.non-finite-loss",
            "numeric.exploding-gradient",
            "data.constant-feature",
            "step.learning-rate-too-high",
            "model.*",
        ),
    )
