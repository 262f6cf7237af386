"""Whether what both parts were scaled with was taken from both: mean and deviation, or range, exact for their union.

Not here: the other comparisons of the two parts (`data_splits`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from mlkit.debug.examples import Examples
from mlkit.debug.probes.data_values import _whole
from mlkit.debug.reading import base, owners
from mlkit.debug.scene import Scene
from mlkit.debug.variables import arrays, line_of

ALIKE = 0.3
"""Correlation of neighbours from which stored rows count as a series."""


def scaler_of(scene: Scene, training: Examples, other: Examples) -> dict[str, object]:
    """Whether both parts together, but not training alone, have mean 0 and deviation 1 (or range 0 to 1)."""
    for name, one, both in _pairs(training, other):
        if one.ndim < 1 or len(one) < 20 or len(both) <= len(one):
            continue
        found = _is_standard(both), _is_standard(one)
        for kind in ("standard", "range"):
            whole, part = found[0].get(kind), found[1].get(kind)
            if whole is not None and part is not None and whole[0] < 1e-4 and part[0] > 30 * max(whole[0], 1e-6):
                fit = next((fit.site for fit in scene.session.data.fits if fit.rows >= len(both) * 0.98), None)
                return {
                    "kind": kind,
                    "attribute": name,
                    "rows": len(both),
                    "train_rows": len(one),
                    "off_union": whole[0],
                    "off_train": part[0],
                    "by_chance": _by_chance(len(one), len(both)),
                    "features": whole[1],
                    "site": fit,
                }
    found_in = _in_variables(scene, training, other)
    if found_in:
        return found_in
    both_sizes = training.size + other.size
    for seen in scene.session.data.fits:  # windows of a series: the series itself is not at hand any more
        if other.size >= 0.05 * training.size and 0.97 * both_sizes <= seen.rows <= 1.6 * both_sizes:
            return {
                "kind": "fit",
                **_off_train(training, seen.rows),
                "scaler": seen.kind,
                "rows": seen.rows,
                "train_rows": training.size,
                "site": seen.site,
            }
    return {}


def _by_chance(part: int, whole: int) -> float:
    """How far the mean of a random part of standardised rows is from 0, as a standard deviation."""
    return math.sqrt((whole - part) / (whole * part))


def _off_train(training: Examples, rows: int, *, width: int | None = None) -> dict[str, object]:
    """How far training's own inputs are from mean 0 and deviation 1, and how far chance brings them."""
    whole, _ = _whole(training)
    values = next((one for one in whole if one.is_floating_point() and one.dim() >= 2), None)
    if values is None:
        matrix = training.sample(2000, seconds=0.3).matrix
        if matrix is None:
            return {}
        values = matrix
    if values.dim() == 3 and values.shape[1] == width != values.shape[2]:
        values = values.transpose(1, 2)
    off = _is_standard(values.detach().cpu().reshape(-1, values.shape[-1]).numpy(), pooled=False).get("standard")
    return {"off_train": off[0], "by_chance": _by_chance(len(values), rows)} if off is not None else {}


def is_series(training: Examples) -> bool:
    """Whether an item is like the one before it, as the rows of a series are."""
    count = min(training.size, 200)
    rows = training.sample(count, seconds=0.3, indices=range(count)).matrix
    if rows is None or len(rows) < 20:
        return False
    rows = (rows - rows.mean(0)) / rows.std(0, correction=0).clamp_min(1e-9)
    return float((rows[1:] * rows[:-1]).mean()) > ALIKE


def _in_variables(scene: Scene, training: Examples, other: Examples) -> dict[str, object]:
    """An array of the user that holds rows of both parts and is standardised to rounding; training alone is not."""
    mine, yours = (_first_row(one) for one in (training, other))
    if mine is None or yours is None:
        return {}
    for held in arrays(scene.session.locator):
        value = held.as_tensor()
        if not value.is_floating_point() or value.dim() not in (1, 2) or len(value) < 50 or value.numel() < 50:
            continue
        rows = value.reshape(len(value), -1)
        width = rows.shape[1]
        if width > 500 or mine.numel() % width or yours.numel() != mine.numel():
            continue
        first = [_place(rows, _row(one, width)) for one in (mine, yours)]
        if first[0] is None or first[1] is None or len(rows) < 1.05 * training.size:
            continue
        array = rows.double().numpy()
        standard = _is_standard(array).get("standard")
        off = _off_train(training, len(rows), width=width)
        if standard is not None and standard[0] < 1e-4 and _number(off.get("off_train")) > 30 * max(standard[0], 1e-6):
            return {
                "kind": "standard",
                "attribute": held.name,
                "rows": len(rows),
                "train_rows": training.size,
                "off_union": standard[0],
                "features": width,
                "site": line_of(held),
                **off,
            }
    return {}


def _number(value: object) -> float:
    return value if isinstance(value, float) else 0.0


def _first_row(examples: Examples) -> Tensor | None:
    items, _ = examples.read(0)
    real = next((one for one in items if one.is_floating_point()), None)
    return real.detach().cpu().double() if real is not None and real.numel() else None


def _row(item: Tensor, width: int) -> Tensor:
    """The first row of an item: of a window the first time step, wherever its features stand."""
    is_features_first = item.dim() == 2 and item.shape[0] == width != item.shape[1]
    return item[:, 0] if is_features_first else item.reshape(-1)[:width]


def _place(rows: Tensor, wanted: Tensor) -> int | None:
    """Where a row lies in a table, to the rounding of single precision."""
    near = ((rows.double() - wanted).abs() <= 1e-5 * (1 + wanted.abs())).all(1).nonzero()
    return int(near[0, 0]) if len(near) else None


def _is_standard(values: np.ndarray[Any, Any], *, pooled: bool = True) -> dict[str, tuple[float, int]]:
    """How far the columns are from mean 0 and deviation 1, and from range 0 to 1; the number of columns that count."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    spread = rows.std(0)
    rows = rows[:, spread > 1e-12]
    if not rows.shape[1]:
        return {}
    found: dict[str, tuple[float, int]] = {}
    for count in (rows, rows.reshape(-1, 1))[: 1 + pooled]:
        mean, spread = count.mean(0), count.std(0)
        unbiased = count.std(0, ddof=1)
        off = min(float(np.abs(one - 1).max()) for one in (spread, unbiased))
        off = max(off, float(np.abs(mean).max()))
        if "standard" not in found or off < found["standard"][0]:
            found["standard"] = (off, count.shape[1])
    low, high = rows.min(0), rows.max(0)
    columns = rows.shape[1]
    is_steady = columns >= 3
    if is_steady:
        found["range"] = (float(max(np.abs(low).max(), np.abs(high - 1).max())), columns)
    return found


def _pairs(training: Examples, other: Examples) -> list[tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """(name, training's values, those of both parts together), of the tensors that both hold."""
    found = []
    one, _ = _whole(training)
    two, _ = _whole(other)
    for mine, yours in zip(one, two, strict=False):
        if mine.is_floating_point() and yours.is_floating_point() and mine.shape[1:] == yours.shape[1:]:
            left, right = mine.detach().cpu().numpy(), yours.detach().cpu().numpy()
            found.append(("inputs", left, np.concatenate([left, right])))
    if training.loader is None or other.loader is None or found:
        return found
    first, second = base(training.dataset)[0], base(other.dataset)[0]
    if first is second:
        rows = base(training.dataset)[1]
        for name, value in _arrays(first).items():
            if rows is not None and len(value) == len(first):
                found.append((name, value[rows], value))
        return found
    mine_by_name, yours_by_name = _arrays(first), _arrays(second)
    for name, value in mine_by_name.items():
        late = yours_by_name.get(name)
        if late is None or late.shape[1:] != value.shape[1:] or not len(late):
            continue
        found.append((name, value, np.concatenate([value, late])))
        shared = _tail(value, late)
        if shared:
            found.append((name, value, np.concatenate([value, late[shared:]])))
    return found


def _arrays(data: object) -> dict[str, np.ndarray[Any, Any]]:
    found: dict[str, np.ndarray[Any, Any]] = {}
    for owner in owners(data):
        for name, value in getattr(owner, "__dict__", {}).items():
            if isinstance(value, Tensor) and value.is_floating_point() and value.dim() and value.numel() < 20_000_000:
                found.setdefault(name, value.detach().cpu().float().numpy())
            elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim and value.size < 20_000_000:
                found.setdefault(name, value)
    return found


def _tail(value: np.ndarray[Any, Any], late: np.ndarray[Any, Any]) -> int:
    """How many items at the end of one series are those at the start of the next."""
    places = np.flatnonzero((value.reshape(len(value), -1)[-2000:] == late.reshape(len(late), -1)[0]).all(1))
    for place in places:
        length = min(len(value), 2000) - int(place)
        if length <= len(late) and np.array_equal(value[-length:], late[:length]):
            return length
    return 0
