"""Training examples against those of an evaluation: scale, same items, order of classes, shared statistics.

Not here: each of them by itself (`data_values`, `data_labels`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlkit.debug.examples import Examples, Sample, fingerprint, locate
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.probes.data_labels import site_of_labels
from mlkit.debug.probes.data_scaler import is_series, scaler_of
from mlkit.debug.probes.data_values import moments
from mlkit.debug.reading import base, held
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.variables import alias

MOST = 6000


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
    if training.is_same(other) or not training.size or _are_parts_unknown(scene, training, other):
        return found
    return {**found, **between(scene, training, other)}


def between(scene: Scene, training: Examples, other: Examples) -> Measurement:
    """Everything that compares items of one part with items of the other."""
    scaler = scaler_of(scene, training, other)
    mine, yours = training.sample(MOST, seconds=0.5), other.sample(MOST // 6, seconds=0.4)
    return {
        "train_read": len(mine),
        "val_read": len(yours),
        "train_size": training.size,
        "val_size": other.size,
        "is_batch": training.is_batch,
        "overlap": _overlap(mine, yours),
        "rows": _shared_rows(training, other),
        "neighbours": _neighbours(mine, yours),
        "scaler": {**scaler, "is_series": is_series(training)} if scaler else {},
        "labels": _classes(scene, mine, yours),
        "label_site": site_of_labels(scene, other) if other.loader is None else None,
        "alias": alias(scene.session.locator, other.inputs[0]) if other.loader is None and other.inputs else None,
    }


def _are_parts_unknown(scene: Scene, training: Examples, other: Examples) -> bool:
    """Whether both are cut from one table by indices of which not all are known: the parts may well be apart."""
    if training.loader is not None or other.loader is not None:
        return False
    if _are_apart(training.inputs, other.inputs):
        return False
    stored = {one.untyped_storage().data_ptr() for one in training.inputs if one.numel()}
    cut = [*other.inputs, *(scene.source_of(one) for one in scene.inputs)]
    is_one = any(one.untyped_storage().data_ptr() in stored for one in cut if one.numel())
    return is_one and (training.rows is None or other.rows is None)


def _are_apart(mine: list[Tensor], yours: list[Tensor]) -> bool:
    """Whether both are views of one memory that have no place in common: its first rows, and those that follow."""
    if not mine or not yours or mine[0].untyped_storage().data_ptr() != yours[0].untyped_storage().data_ptr():
        return False
    (start, stop), (first, last) = _extent(mine[0]), _extent(yours[0])
    return stop <= first or last <= start


def _extent(tensor: Tensor) -> tuple[int, int]:
    """The first place of a tensor in its memory, and the one after its last."""
    start = int(tensor.storage_offset())
    reach = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + int(reach) + 1


# ---------------------------------------------------------------- where


def site_of_part(scene: Scene, examples: Examples) -> Site | None:
    """The line that made the data set of a part; else its loader, or the line that gives it to the model."""
    if examples.loader is None:
        scene.session.data.births.note(scene.trace)
        born = scene.session.data.births.of(examples.inputs[0]) if examples.inputs else None
        return born or examples.site
    training = scene.session.data.training
    data = scene.session.data
    made = data.made_apart(examples.dataset, training.dataset) if training is not None else None
    return made or data.made_at(examples.dataset) or examples.site


def split_site(scene: Scene, training: Examples, other: Examples) -> Site | None:
    """The line at which one set of examples became two, where it is known."""
    data = scene.session.data
    if training.loader is not None and other.loader is not None:
        one, two = data.made_at(training.dataset), data.made_apart(other.dataset, training.dataset)
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
    # In a cloud of dimension m the k-th neighbour's distance grows as k^(1/m): the farther ones tell m, and m tells
    # how seldom the nearest of ten is as near as it is (Levina and Bickel 2004, the same law).
    last = min(49, distances.shape[1] - 1)
    growth = (distances[:, last] / distances[:, 9].clamp_min(1e-12)).log().clamp_min(1e-6)
    dimension = math.log((last + 1) / 10) / growth
    chance = (9 * ratio.clamp_max(1.0) ** dimension.clamp_max(60)).clamp_max(1.0)
    return {
        "strange": float(((chance < 0.01) & (ratio < 0.5)).float().mean()),
        "dimension": float(dimension.median()),
        "near": float((ratio < 0.2).float().mean()),
        "median": float(ratio.median()),
        "exact": float((distances[:, 0] == 0).float().mean()),
        "checked": len(other),
    }


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
