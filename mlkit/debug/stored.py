"""Whether taking a batch changes the data that it is taken from: the user's arrays before and after one training step.

For a copy that goes on (`mlkit.debug.gather`). Not here: data sets that can be read twice (`probes/data_reading`).
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from mlkit.debug.sites import Locator, Site
from mlkit.debug.trace import Trace
from mlkit.debug.variables import Held, arrays, frames

MOST_ROWS = 20_000
LEAST = 3
"""Changed rows that must be what the model was fed."""


class Stored:
    """Rows of the user's arrays, as sums, at one moment; and which of them are others at the next.

    Args:
        locator: tells the user's frames.
    """

    def __init__(self, locator: Locator) -> None:
        self._locator = locator
        self._known: dict[int, tuple[Held, Tensor]] = {}
        self._before: dict[int, Tensor] = {}
        self._suspects: list[tuple[Held, Tensor]] = []
        self._last: dict[int, Site] = {}
        self._line: Site | None = None
        rows = 0
        for held in arrays(locator):
            sums = _sums(held)
            rows += len(sums)
            if rows > MOST_ROWS:
                break
            self._known[id(held.value)] = (held, sums)
            self._before[id(held.value)] = held.as_tensor().detach().cpu().clone()

    def compare(self, fed: Tensor, trace: Trace) -> dict[str, object]:
        """What changed since, where it is what the model is fed now; empty where nothing did.

        Args:
            fed: the inputs of the present batch, samples first.
            trace: the ops since.
        """
        wanted = fed.detach().reshape(len(fed), -1).double()
        matched, rows, touched = 0, 0, []
        for held, before in self._known.values():
            now = _sums(held)
            changed = (now != before).nonzero()[:, 0].tolist() if now.shape == before.shape else []
            value = held.as_tensor()
            items = value if _is_table(held) else value.unsqueeze(0)
            if not changed or (_is_table(held) and len(items) < 2 * len(fed)):
                continue
            old = self._before[id(held.value)]
            old = old if _is_table(held) else old.unsqueeze(0)
            pairs = [
                (items[row].reshape(-1).double(), old[row].reshape(-1).double()) for row in changed[: 4 * len(fed)]
            ]
            hits = sum(_is_like(*pair) and _is_among(pair[0], wanted) for pair in pairs)
            if hits:
                matched, rows = matched + hits, rows + len(changed)
                touched.append(held)
        if matched < min(LEAST, len(fed)) or matched < 0.5 * rows:
            return {}
        self._suspects = [(held, _sums(held)) for held in touched]
        return {"changed": matched, "held": len(self._known), "name": touched[0].name, "site": _op_line(trace, touched)}

    # ---------------------------------------------------------------- the line, where no torch op tells it

    def watch_lines(self) -> None:
        """From here to `line`: after each line of the user's, look whether more has changed."""
        for frame in frames(self._locator):
            frame.f_trace = self._on_line
            self._last[id(frame)] = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        known = [held for held, _ in self._known.values() if not _is_table(held)]
        mine = {id(held.value): held for held, _ in self._suspects}
        if len(known) > 1:  # one of many stored items: any of them may be the next
            mine |= {id(held.value): held for held in known[:400]}
        self._suspects = [(held, _sums(held)) for held in mine.values()]
        sys.settrace(self._on_call)

    def line(self) -> Site | None:
        """The line after which the data had changed."""
        sys.settrace(None)
        return self._line

    def _on_call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._on_line if self._locator.is_user_code(frame.f_code) else None

    def _on_line(self, frame: FrameType, event: str, argument: object) -> Any:
        last = self._last.get(id(frame))
        is_new = self._line is None and last is not None and event in ("line", "return")
        if is_new and any(not torch.equal(_sums(held), before) for held, before in self._suspects):
            self._line = last
        self._last[id(frame)] = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        return self._on_line


def _is_table(held: Held) -> bool:
    """Whether the rows are items; else the array is one item of a list."""
    return not held.name.endswith("]")


def _sums(held: Held) -> Tensor:
    value = held.as_tensor().detach().cpu()
    rows = value.reshape(len(value), -1) if _is_table(held) and len(value) else value.reshape(1, -1)
    rows = rows.double().nan_to_num()
    return rows.sum(1) + rows.square().sum(1) * 0.7312 + rows[:, : rows.shape[1] // 2].sum(1) * 0.137


def _is_like(now: Tensor, before: Tensor) -> bool:
    """Whether a changed item still has to do with what it was; a new entry of a memory has not."""
    if float((now == before).double().mean()) > 0.25:
        return True
    one, other = now - now.mean(), before - before.mean()
    return float(one @ other) > 0.3 * float(one.norm() * other.norm()) > 0


def _is_among(row: Tensor, wanted: Tensor) -> bool:
    """Whether a row is one of those fed, up to a shift and a scale."""
    if row.numel() != wanted.shape[1] or row.numel() < 4:
        return False
    if bool((wanted == row).all(1).any()):
        return True
    one, other = row - row.mean(), wanted - wanted.mean(1, keepdim=True)
    return bool(((other @ one) / (one.norm() * other.norm(dim=1)).clamp_min(1e-12) > 0.9999).any())


def _op_line(trace: Trace, touched: list[Held]) -> Site | None:
    stores = {one.as_tensor().untyped_storage().data_ptr() for one in touched}
    for op in trace.ops:
        target = op.args[0] if op.args else None
        if op.is_in_place and isinstance(target, Tensor) and target.untyped_storage().data_ptr() in stores:
            return op.site
    return None
