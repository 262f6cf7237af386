"""What is known of a task (kind, shapes, classes): the word that data, models and metrics share.

Not here: the data itself (`mlkit.data.DataBundle`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskKind = Literal["classification", "regression", "next_token"]
InputKind = Literal["image", "vector", "table", "series", "tokens", "other"]


@dataclass(frozen=True)
class Task:
    """What a model has to know of the data, and a metric of the targets.

    Args:
        kind: ``"classification"`` (targets are class indices, shape ``(N,)``), ``"regression"`` (floats, shape
            ``(N, num_outputs)``) or ``"next_token"`` (token indices, shape ``(N, T)``).
        input_kind: ``"image"`` (one tensor ``(N, C, H, W)``), ``"vector"`` (``(N, F)``), ``"table"`` (numeric
            ``(N, F)`` and categorical indices ``(N, len(cardinalities))``), ``"series"`` (``(N, T, C)``, and
            lengths ``(N,)`` when ``has_lengths``), ``"tokens"`` (indices ``(N, T)``, lengths likewise) or ``"other"``.
        input_shape: shape of the first input of one example, without the batch axis.
        num_outputs: classes, target columns, or vocabulary size.
        class_names: one name a class, or empty.
        cardinalities: distinct values of each categorical column (``"table"`` only), the unknown value included.
        vocab_size: number of distinct input tokens (``"tokens"`` only).
        has_lengths: examples are padded, and the true lengths are the last input.
        target_mean: per target column, what was subtracted from regression targets; empty when nothing was.
        target_std: per target column, what they were divided by.
    """

    kind: TaskKind
    input_kind: InputKind
    input_shape: tuple[int, ...]
    num_outputs: int
    class_names: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()
    vocab_size: int | None = None
    has_lengths: bool = False
    target_mean: tuple[float, ...] = ()
    target_std: tuple[float, ...] = ()
