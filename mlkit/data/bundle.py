"""`DataBundle`: the splits of a data set together with what is known of its task.

Not here: where the data comes from (the catalogue) and how it is batched (`mlkit.data.batches`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from mlkit.data.splits import Split
from mlkit.task import Task

SplitName = Literal["train", "val", "target_val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "target_val", "test")


@dataclass(frozen=True, eq=False, repr=False)
class DataBundle:
    """A data set, split and described.

    Args:
        name: name in the catalogue, or what the user calls it.
        task: kind, shapes and classes.
        train: what is trained on; every statistic comes from here alone.
        val: held out, drawn from the distribution of ``train``.
        test: touched once, at the end; None where there is none.
        target_val: held out, drawn from the distribution of ``test``; only where that differs from ``val``'s.
        fingerprint: hash of the content of all splits (see `mlkit.data.fingerprint`).
        notes: facts worth printing, by title: where it came from, what was left out, how it was split.
    """

    name: str
    task: Task
    train: Split
    val: Split
    test: Split | None = None
    target_val: Split | None = None
    fingerprint: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def splits(self) -> Iterator[tuple[SplitName, Split]]:
        """The splits that exist, by name, in the order train, val, target_val, test."""
        for name in SPLIT_NAMES:
            split = getattr(self, name)
            if split is not None:
                yield name, split

    def to(self, device: torch.device | str) -> DataBundle:
        """The same bundle with its resident tensors on ``device``."""
        return replace(
            self,
            train=self.train.to(device),
            val=self.val.to(device),
            test=None if self.test is None else self.test.to(device),
            target_val=None if self.target_val is None else self.target_val.to(device),
        )

    def __repr__(self) -> str:  # what a notebook shows: never the tensors
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in self.splits())
        shape = " x ".join(map(str, self.task.input_shape)) or "scalar"
        outputs = {"classification": "classes", "regression": "targets", "next_token": "tokens"}[self.task.kind]
        return f"{self.name}: {self.task.input_kind} {shape}, {self.task.num_outputs} {outputs}; {sizes}"
