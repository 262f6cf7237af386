"""Training examples against those of an evaluation: scale, same items, order of classes, shared statistics.

Not here: each of them by itself (`data_values`, `data_labels`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlkit.debug.examples import Examples, Sample, fingerprint, locate
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.probes.data_values import _whole, moments
from mlkit.debug.reading import base, held, owners
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site

MOST = 2000


@probe("data-train-batch")
def data_train_batch(scene: Scene) -> Measurement:
    """Moments of what the model is given in training."""
    return _given(scene)


def _given(scene: Scene) -> Measurement:
    target = scene.head.target if scene.head is not None else None
    real = [one for one in scene.inputs if one is not target and one.is_floating_point() and one.numel() >= 64]
    if not real:
        return {}
    return {**moments(real[0]), "shape": tuple(real[0].shape), "calls": len(scene.model_calls)}


@probe("data-splits", scenes=("eval", "validation"))
def data_splits(scene: Scene) -> Measurement:
    """Everything that needs both parts."""
    training, other = scene.session.data.training, locate(scene, is_training=False)
    if training is None or other is None:
        return {}
    found: Measurement = {
        "given": _given(scene),
        "site": site_of_part(scene, other),
        "loader": other.site,
        "split": split_site(scene, training, other),
        "is_training_data": training.is_same(other),
    }
    if training.is_same(other) or _are_parts_unknown(scene, training, other):
        return found
    mine, yours = training.sample(MOST, seconds=0.5), other.sample(MOST // 2, seconds=0.4)
    found["train_read"], found["val_read"] = len(mine), len(yours)
    found["train_size"], found["val_size"] = training.size, other.size
    found["is_batch"] = training.is_batch
    found["overlap"] = _overlap(mine, yours)
    found["rows"] = _shared_rows(training, other)
    found["neighbours"] = _neighbours(mine, yours)
    found["scaler"] = _scaler(scene, training, other)
    found["labels"] = _classes(scene, mine, yours)
    return found


def _are_parts_unknown(scene: Scene, training: Examples, other: Examples) -> bool:
    """Whether both are cut from one table by indices of which not all are known: the parts may well be apart."""
    if training.loader is not None or other.loader is not None:
        return False
    stored = {one.untyped_storage().data_ptr() for one in training.inputs if one.numel()}
    cut = [*other.inputs, *(scene.source_of(one) for one in scene.inputs)]
    is_one = any(one.untyped_storage().data_ptr() in stored for one in cut if one.numel())
    return is_one and (training.rows is None or other.rows is None)


# ---------------------------------------------------------------- where


def site_of_part(scene: Scene, examples: Examples) -> Site | None:
    """The line that made the data set of a part; else its loader, or the line that gives it to the model."""
    if examples.loader is None:
        return examples.site
    return scene.session.data.made_at(examples.dataset) or examples.site


def split_site(scene: Scene, training: Examples, other: Examples) -> Site | None:
    """The line at which one set of examples became two, where it is known."""
    data = scene.session.data
    if training.loader is not None and other.loader is not None:
        one, two = data.made_at(training.dataset), data.made_at(other.dataset)
        if one is not None and two is not None and base(training.dataset)[0] is base(other.dataset)[0]:
            return two
    sizes = {training.size, other.size}
    for parts, site in data.splits:
        if parts and (set(parts) & sizes or len(data.splits) == 1):
            return site
    return None


# ---------------------------------------------------------------- the same items


def _overlap(mine: Sample, yours: Sample) -> dict[str, object]:
    """Share of the other part's items that occur in training to the last bit, and how alike items are within it."""
    if len(mine) < 20 or len(yours) < 10:
        return {}
    seen = set(mine.keys)
    shared = sum(key in seen for key in yours.keys)
    within = len(mine) - len(seen)
    values = torch.cat([one.reshape(-1).double() for item in yours.items[:50] for one in item])
    return {
        "shared": shared,
        "of": len(yours),
        "repeated_in_training": within,
        "read": len(mine),
        "distinct_val": len(set(yours.keys)),
        "is_real": yours.is_real and bool((values != values.round()).double().mean() > 0.2),
        "levels": len(torch.unique(values)),
        "numbers": sum(one.numel() for one in yours.items[0]),
    }


def _shared_rows(training: Examples, other: Examples) -> dict[str, object]:
    """For two subsets of one data set (or of two over the same stored data): rows that both take."""
    if training.loader is None or other.loader is None:
        return {}
    (one, first), (two, second) = base(training.dataset), base(other.dataset)
    if first is None or second is None or not first or not second:
        return {}
    if one is not two:
        stored = held(one, limit=4), held(two, limit=4)
        alike = zip(*stored, strict=False)
        is_same = type(one) is type(two) and len(stored[0]) == len(stored[1]) > 0
        if not is_same or not all(fingerprint([_tensor(a)]) == fingerprint([_tensor(b)]) for a, b in alike):
            return {}
    shared = set(first) & set(second)
    return {"shared": len(shared), "of": len(set(second))}


def _tensor(value: Tensor | np.ndarray[Any, Any]) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(value)


def _neighbours(mine: Sample, yours: Sample) -> dict[str, object]:
    """How close the nearest training item is, against the tenth nearest."""
    one, other = mine.matrix, yours.matrix
    if one is None or other is None or one.shape[1] != other.shape[1] or one.shape[1] < 8 or len(one) < 50:
        return {}
    if not mine.is_real:
        return {}
    one, other = one[:, :4096], other[:300, :4096]
    spread = one.std(0, correction=0)
    keep = spread > 1e-6 * spread.max()
    if int(keep.sum()) < 8:
        return {}
    one, other = one[:, keep], other[:, keep]
    distances = torch.cdist(other, one).sort(1).values
    ratio = distances[:, 0] / distances[:, 9].clamp_min(1e-12)
    return {
        "near": float((ratio < 0.2).float().mean()),
        "median": float(ratio.median()),
        "exact": float((distances[:, 0] == 0).float().mean()),
        "checked": len(other),
    }


# ---------------------------------------------------------------- statistics of the union


def _scaler(scene: Scene, training: Examples, other: Examples) -> dict[str, object]:
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
                    "features": whole[1],
                    "site": fit,
                }
    both_sizes = training.size + other.size
    for seen in scene.session.data.fits:  # windows of a series: the series itself is not at hand any more
        if other.size >= 0.05 * training.size and 0.97 * both_sizes <= seen.rows <= 1.6 * both_sizes:
            return {
                "kind": "fit",
                "scaler": seen.kind,
                "rows": seen.rows,
                "train_rows": training.size,
                "site": seen.site,
            }
    return {}


def _is_standard(values: np.ndarray[Any, Any]) -> dict[str, tuple[float, int]]:
    """How far the columns are from mean 0 and deviation 1, and from range 0 to 1; the number of columns that count."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    spread = rows.std(0)
    rows = rows[:, spread > 1e-12]
    if not rows.shape[1]:
        return {}
    found: dict[str, tuple[float, int]] = {}
    for count in (rows, rows.reshape(-1, 1)):
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


# ---------------------------------------------------------------- classes


def _classes(scene: Scene, mine: Sample, yours: Sample) -> dict[str, object]:
    """How well training's labels predict those of the other part by the nearest items, as they are and renamed."""
    one, other = mine.classes, yours.classes
    if one is None or other is None:
        return {}
    kinds = int(max(one.max(), other.max())) + 1
    if kinds > 200 or kinds < 2:
        return {}
    found: dict[str, object] = {
        "train_counts": torch.bincount(one.clamp(0), minlength=kinds).tolist(),
        "val_counts": torch.bincount(other.clamp(0), minlength=kinds).tolist(),
    }
    left, right = mine.matrix, yours.matrix
    if left is None or right is None or left.shape[1] != right.shape[1] or len(left) < 60 or len(right) < 30:
        return found
    guess = nearest_class(left, one, right, kinds)
    table = torch.zeros(kinds, kinds)
    table.index_put_((guess, other), torch.ones(len(other)), accumulate=True)
    renamed = _assignment(table)
    half = len(left) // 2
    control = nearest_class(left[:half], one[:half], left[half:], kinds)
    found.update(
        agreement=float((guess == other).float().mean()),
        renamed=float(sum(table[row, column] for row, column in enumerate(renamed)) / len(other)),
        control=float((control == one[half:]).float().mean()),
        moved=[f"{row}→{column}" for row, column in enumerate(renamed) if row != column and table[row, column] > 0][:8],
        moved_count=sum(row != column for row, column in enumerate(renamed) if table[row].sum()),
    )
    return found


def nearest_class(left: Tensor, labels: Tensor, right: Tensor, kinds: int) -> Tensor:
    """The most frequent class among the five nearest items, columns brought to one scale."""
    scale = left.std(0, correction=0).clamp_min(1e-3 * float(left.std()) + 1e-12)
    near = torch.cdist(right[:, :4096] / scale[:4096], left[:, :4096] / scale[:4096]).topk(
        min(5, len(left)), largest=False
    )
    votes = torch.zeros(len(right), kinds)
    votes.scatter_add_(1, labels[near.indices], 1.0 / (1e-6 + near.values))
    return votes.argmax(1)


def _assignment(table: Tensor) -> list[int]:
    """For each row its own column, so that the sum is (nearly) the largest."""
    try:
        from scipy.optimize import linear_sum_assignment

        _, columns = linear_sum_assignment(-table.numpy())
        return [int(column) for column in columns]
    except ImportError:
        free, result = set(range(len(table))), [0] * len(table)
        for row in table.max(1).values.argsort(descending=True).tolist():
            best = max(free, key=lambda column: float(table[row, column]))
            result[row] = best
            free.remove(best)
        return result
