"""Counts the bytes of all living tensors while a program runs, whether its tensors are real or only pretend to be.

Not here: which program (`mlkit.debug.memory.estimate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, ``living`` is the bytes of all storages that were made or told and are not freed, by label.

    Args:
        label: what a storage that is made now is counted as.
    """

    def __init__(self, label: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.label = label
        self.peak = 0
        self.at_peak: dict[str, int] = {}
        self.when = ""
        self._total = 0  # with storages that are freed and not swept yet
        self._known: dict[int, tuple[StorageWeakRef, str, int]] = {}

    @property
    def living(self) -> dict[str, int]:
        """Bytes alive now, by label."""
        self._sweep()
        found: Counter[str] = Counter()
        for _, label, size in self._known.values():
            found[label] += size
        return dict(found)

    def tell(self, tensor: Tensor, label: str) -> None:
        """Count a tensor that is there already, or count it as something else from now on."""
        storage = tensor.untyped_storage()
        known = self._known.get(storage._cdata)
        if known is not None:
            self._known[storage._cdata] = (known[0], label, known[2])
        else:
            self._count(storage, label)

    def _count(self, storage: torch.UntypedStorage, label: str) -> None:
        # The weak reference keeps the address from being used again, so that it stands for this storage alone.
        self._known[storage._cdata] = (StorageWeakRef(storage), label, storage.nbytes())  # type: ignore[no-untyped-call]
        self._total += storage.nbytes()
        if self._total > self.peak:
            self._sweep()
            if self._total > self.peak:
                self.peak, self.when, self.at_peak = self._total, label, self.living

    def _sweep(self) -> None:
        for key, (reference, _, size) in list(self._known.items()):
            if reference.expired():  # type: ignore[no-untyped-call]
                del self._known[key]
                self._total -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in self._known:
                self._count(leaf.untyped_storage(), self.label())
        return result
