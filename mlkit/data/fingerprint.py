"""The fingerprint of a data set: a short hash of all that a run can see of it, stored with the run.

Not here: where the data came from; two copies of one file have one fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mlkit.data.bundle import DataBundle
    from mlkit.data.splits import Split
    from mlkit.task import Task

PREFIX = "mlkit-data-1:"
_CHUNK = 1 << 24  # bytes hashed at a time: a tensor on a GPU is never copied to the host as a whole


def fingerprint(bundle: DataBundle) -> str:
    """The hash of the task and of every tensor of every split: name, dtype, shape and bytes.

    The same on every device and in every process; one changed pixel changes it, and so do other numbers to standardise
    by. The bundle's name and notes do not count.

    Returns:
        ``"mlkit-data-1:"`` and 16 hexadecimal digits; the number is the version of this recipe.

    >>> from mlkit.data.adapt import from_tensors
    >>> fingerprint(from_tensors(torch.arange(40.0).reshape(20, 2), torch.arange(20) % 2))[:13]
    'mlkit-data-1:'
    """
    return hash_splits(bundle.task, bundle.splits())


def hash_splits(task: Task, splits: Iterable[tuple[str, Split]]) -> str:
    """`fingerprint` of splits that are not yet in a bundle."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr(task).encode())
    for split_name, split in splits:
        for tensor_name, tensor in split.tensors().items():
            digest.update(f"{split_name}/{tensor_name}/{tensor.dtype}/{tuple(tensor.shape)};".encode())
            _update(digest, tensor)
    return PREFIX + digest.hexdigest()


def _update(digest: hashlib.blake2b, tensor: Tensor) -> None:
    flat = tensor.detach().reshape(-1).view(torch.uint8) if tensor.numel() else tensor.new_empty(0, dtype=torch.uint8)
    for start in range(0, len(flat), _CHUNK):
        digest.update(flat[start : start + _CHUNK].cpu().numpy().tobytes())
