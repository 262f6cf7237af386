"""`Source`: what a catalogue entry has read, before it is split, simplified and standardised by `mlkit.data.pipeline`.

Not here: any statistic; those are computed after the split, from the training examples alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from mlkit.task import Task


@dataclass(frozen=True)
class Source:
    """The raw content of a data set.

    Args:
        name: name in the catalogue.
        task: what is known before the split; the pipeline fills in what depends on it (class names after filtering,
            input shape after resizing, cardinalities and target scale from ``train``).
        inputs: one tensor an input, ``(N, ...)``, raw and compact (uint8 images stay uint8; missing numbers are NaN;
            categorical columns are int64 codes, 0 = missing).
        targets: int64 classes ``(N,)`` or float32 ``(N, K)``.
        test_inputs: the official test part, where the data set has one; None: the pipeline cuts one off.
        test_targets: likewise.
        val_inputs: the official validation part, where the data set has one; None: the pipeline cuts one off.
        val_targets: likewise.
        groups: int64 ``(N,)``; examples of one group (a speaker, a patient) never stand in two splits.
        ordered: examples are in time order; splits are contiguous and later means val, then test.
        standardize: ``"channel"`` (one mean and deviation a channel, axis 1 of images, last axis of series),
            ``"feature"`` (one a column) or ``"none"``.
        unit: what counts as 1 before standardising (255 for uint8 images).
        standardize_targets: regression targets are divided by the training deviation after subtracting its mean.
        shifted_test: the test part is from another distribution, so half of it becomes ``target_val``.
        notes: facts worth printing (source, licence, fidelity).
    """

    name: str
    task: Task
    inputs: tuple[Tensor, ...]
    targets: Tensor
    test_inputs: tuple[Tensor, ...] | None = None
    test_targets: Tensor | None = None
    groups: Tensor | None = None
    ordered: bool = False
    standardize: Literal["channel", "feature", "none"] = "none"
    unit: float = 1.0
    standardize_targets: bool = True
    shifted_test: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    val_inputs: tuple[Tensor, ...] | None = None
    val_targets: Tensor | None = None
