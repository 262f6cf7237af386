"""Data: from files, arrays or loaders to splits without leakage and batches in a keyed order.

Not here: models and training. Names are resolved when first used; importing this room reads nothing and is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not lazily: the function and its module share a name, and importing the module later would hide the function.
from mlkit.data.load import load

if TYPE_CHECKING:
    from mlkit.data.adapt import as_batches, from_tensors, infer_task
    from mlkit.data.augment import make_augment
    from mlkit.data.batches import Batches, SplitBatches
    from mlkit.data.bundle import DataBundle
    from mlkit.data.entries import catalogue
    from mlkit.data.loaders import LoaderBatches, from_dataset
    from mlkit.data.pipeline import finish
    from mlkit.data.source import Source
    from mlkit.data.splits import Affine, Batch, Split, TensorSplit, WindowSplit

_WHERE = {
    "Affine": "splits",
    "Batch": "splits",
    "Batches": "batches",
    "DataBundle": "bundle",
    "LoaderBatches": "loaders",
    "Source": "source",
    "Split": "splits",
    "SplitBatches": "batches",
    "TensorSplit": "splits",
    "WindowSplit": "splits",
    "as_batches": "adapt",
    "catalogue": "entries",
    "finish": "pipeline",
    "from_dataset": "loaders",
    "from_tensors": "adapt",
    "infer_task": "adapt",
    "make_augment": "augment",
}

__all__ = [
    "Affine",
    "Batch",
    "Batches",
    "DataBundle",
    "LoaderBatches",
    "Source",
    "Split",
    "SplitBatches",
    "TensorSplit",
    "WindowSplit",
    "as_batches",
    "catalogue",
    "finish",
    "from_dataset",
    "from_tensors",
    "infer_task",
    "load",
    "make_augment",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.data.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
