"""What gathered batches show: the measurements of a readable data set, taken on batches that were met one by one.

Not here: the gathering (`mlkit.debug.gather`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlkit.debug import arrays_watched
from mlkit.debug.examples import Examples
from mlkit.debug.gather import Batch, Gathered, Gatherer
from mlkit.debug.probes import Measurement
from mlkit.debug.probes.data_labels import classes_of_head
from mlkit.debug.probes.data_labels import is_weighted as weighted
from mlkit.debug.probes.data_signal import signal_of
from mlkit.debug.probes.data_splits import between

if TYPE_CHECKING:
    from mlkit.debug.scene import Scene

MOST_ITEMS = 1500
SEEN = 0.95
"""Share of an evaluation batch's items met in training, from which it counts as an evaluation of the training set."""


def measure(gatherer: Gatherer) -> dict[str, object]:
    """Results by the names of the probes that they stand in for."""
    scene = gatherer.first_scene
    if scene is None:
        return {}
    epoch, is_whole = gatherer.epoch()
    training = _training(gatherer, scene, epoch)
    found = {**metrics(gatherer), "batches": len(gatherer.training), "evaluated": len(gatherer.evaluation)}
    for name, take in (
        ("data-labels", lambda: _labels(gatherer, scene, training, epoch)),
        ("data-signal", lambda: _signal(training)),
        ("data-splits", lambda: _splits(gatherer, scene, training, is_whole=is_whole)),
    ):
        with contextlib.suppress(Exception):
            found[name] = _taken(take)
    return found


def metrics(gatherer: Gatherer) -> dict[str, object]:
    """What was compared with labels, and what is known without a look at the data."""
    found: dict[str, object] = {}
    if gatherer.mutated:
        found["data-written"] = {**gatherer.mutated, "site": gatherer.mutated.get("site") or gatherer.loop}
    for name, told in (
        ("metric", gatherer.metric),
        ("eval-metric", {**gatherer.evaluation_metric, **arrays_watched.noted()}),
    ):
        if told:
            found[name] = told
    return found


def _taken(take: Callable[[], Measurement]) -> Measurement:
    return take()


def _training(gatherer: Gatherer, scene: Scene, epoch: list[Batch]) -> Examples:
    known = gatherer.scene.session.data.training if gatherer.scene is not None else None
    if known is not None and not known.is_batch and known.size and (known.loader is not None or known.inputs):
        return known
    return Gathered(epoch, site=gatherer.loop)


def _labels(gatherer: Gatherer, scene: Scene, training: Examples, epoch: list[Batch]) -> Measurement:
    head = scene.head
    kinds = classes_of_head(scene, head) if head is not None else None
    labels = torch.cat([one.label.reshape(-1) for one in epoch if one.label is not None]) if epoch else torch.empty(0)
    if head is None or kinds is None or not len(labels) or labels.numel() != sum(one.size for one in epoch):
        return {}
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):
        return {}
    ignored = head.op.argument(3, "ignore_index", -100)
    return {
        "classes": kinds,
        "counts": torch.bincount(labels.long().clamp(0), minlength=kinds).tolist()[:2000],
        "read": len(labels),
        "size": len(labels),
        "has_weights": weighted(scene, head, training),
        "ignored": ignored if isinstance(ignored, int) else -100,
        "site": gatherer.label_line,
        "head": head.site,
        "loader": gatherer.loop,
        "is_batch": False,
        **_order(gatherer, epoch),
    }


def _signal(training: Examples) -> Measurement:
    """Whether anything in the inputs predicts their labels; in which order they are stored is not known."""
    return signal_of(training.sample(MOST_ITEMS, seconds=0.5)) if isinstance(training, Gathered) else {}


def _order(gatherer: Gatherer, epoch: list[Batch]) -> Measurement:
    """How alike two items of one batch are, against any two."""
    labels = [one.label.reshape(-1).long() for one in epoch if one.label is not None and one.size >= 4]
    if len(labels) < 6:
        return {}
    every = torch.cat(labels)
    shares = torch.bincount(every.clamp(0)).double() / len(every)
    alike = [_alike(one) for one in labels]
    return {
        "neighbours_alike": sum(alike) / len(alike),
        "any_two_alike": float(shares.square().sum()),
        "pairs": 8 * len(labels),
        "order_site": gatherer.loop,
    }


def _alike(labels: Tensor) -> float:
    counts = torch.bincount(labels.clamp(0)).double()
    return float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))


def _splits(gatherer: Gatherer, scene: Scene, training: Examples, *, is_whole: bool) -> Measurement:
    is_gathered = isinstance(training, Gathered)
    if gatherer.looks > 0.5 * len(gatherer.training):
        return {}  # calls without a graph at every step are a part of training: targets, actions
    if is_gathered and not is_whole:
        return {}  # an evaluation on what is trained on could not be told from one that shares some items
    seen = set(training.sample(100_000, seconds=1.0).keys)
    batches = [
        one for one in gatherer.evaluation if one.keys and sum(key in seen for key in one.keys) < SEEN * len(one.keys)
    ]
    if not batches:
        return {}
    other = Gathered(batches, site=gatherer.evaluation_line)
    found = between(gatherer.evaluation_scene or scene, training, other)
    line = gatherer.evaluation_line
    return {**found, "site": line, "loader": line, "alias": None, "label_site": gatherer.evaluation_label_line}
