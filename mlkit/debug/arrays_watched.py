"""Arrays that tensors hand to NumPy, watched in a forked copy: comparisons that become tables, an argmax of one column.

Not here: the same for torch's own ops (`mlkit.debug.probes.metric`).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from mlkit.debug.sites import Locator

LEAST = 4


class Watched(np.ndarray[Any, Any]):
    """An array that notes how it is compared; what is computed from it is watched as well."""

    locator: Locator
    found: dict[str, list[dict[str, object]]]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [_plain(one) for one in inputs]
        out = kwargs.pop("out", None)
        if out is not None:
            kwargs["out"] = tuple(_plain(one) for one in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if method == "__call__" and ufunc in (np.equal, np.not_equal) and len(plain) == 2:
            self._compared(*(np.asarray(one) for one in plain))
        if out is not None:
            return out[0] if len(out) == 1 else out
        return result.view(Watched) if isinstance(result, np.ndarray) and result.ndim else result

    def argmax(self, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(axis, int) and self.ndim > 1 and self.shape[axis] == 1 and len(self) >= LEAST:
            site = Watched.locator.here(sys._getframe(1))
            told: dict[str, object] = {"op": "argmax", "shape": str(self.shape), "dim": axis, "site": site}
            Watched.found.setdefault("single", []).append(told)
        result = self.view(np.ndarray).argmax(axis, *args, **kwargs)
        return result.view(Watched) if isinstance(result, np.ndarray) and result.ndim else result

    def _compared(self, one: Any, other: Any) -> None:
        """A column against a vector: every sample with every other."""
        if one.size != other.size or one.size < LEAST or {one.ndim, other.ndim} != {1, 2}:
            return
        column = one if one.ndim == 2 else other
        if column.shape[1] != 1:
            return
        site = Watched.locator.here(sys._getframe(2))
        told: dict[str, object] = {
            "kind": "table",
            "site": site,
            "shapes": f"{one.shape} and {other.shape}",
            "right": None,
        }
        Watched.found.setdefault("wrong", []).append(told)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Watched) else value


def watch(locator: Locator) -> None:
    """From here on, in this process alone, what `Tensor.numpy` gives is watched."""
    Watched.locator, Watched.found = locator, {}
    original = torch.Tensor.numpy

    def numpy(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        made = original(tensor, *args, **kwargs)
        return made.view(Watched) if made.ndim else made

    torch.Tensor.numpy = numpy  # type: ignore[assignment, method-assign]


def noted() -> dict[str, list[dict[str, object]]]:
    """What was seen, three of a kind at most."""
    return {kind: entries[:3] for kind, entries in Watched.found.items()}
