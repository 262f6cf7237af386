"""The labels of the training examples: how often each class occurs, and in which order they come.

Not here: whether they belong to their inputs (`data_signal`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import TensorDataset, WeightedRandomSampler

from mlkit.debug.examples import Examples
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.reading import base, read_slowly
from mlkit.debug.scene import Head, Scene
from mlkit.debug.sites import Site

PAIRS = 300


@probe("data-labels")
def data_labels(scene: Scene) -> Measurement:
    """Counts of the classes, and how much more alike neighbours are than any two items."""
    examples, head = scene.session.data.training, scene.head
    if examples is None or head is None or head.target is None or not examples.size:
        return {}
    kinds = classes_of_head(scene, head)
    if kinds is None:
        return {}
    labels = examples.all_labels(seconds=0.5)
    if labels is None or labels.numel() != labels.shape[0]:
        return {}
    labels = labels.reshape(-1)
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):
        return {}
    counts = torch.bincount(labels.long().clamp(0), minlength=kinds)
    ignored = head.op.argument(3, "ignore_index", -100)
    return {
        "classes": kinds,
        "counts": counts.tolist()[:2000],
        "read": len(labels),
        "size": examples.size,
        "has_weights": is_weighted(scene, head, examples),
        "ignored": ignored if isinstance(ignored, int) else -100,
        "site": site_of_labels(scene, examples),
        "head": head.site,
        "loader": examples.site,
        "is_batch": examples.is_batch,
        **_order(scene, examples),
    }


def classes_of_head(scene: Scene, head: Head) -> int | None:
    """How many classes one label a sample is of: outputs, or 2 for a single unit; None for other tasks."""
    target, prediction = head.target, head.prediction
    if target is None or target.numel() != scene.batch_size:
        return None
    if head.kind == "classes" and prediction.dim() == 2 and prediction.shape[0] == target.shape[0]:
        return int(prediction.shape[1])
    if head.name.startswith("binary_cross_entropy") and prediction.numel() == target.numel():
        values = target.detach()
        return 2 if bool(((values == 0) | (values == 1)).all()) else None
    return None


def is_weighted(scene: Scene, head: Head, examples: Examples) -> bool:
    """Whether the loss or the sampler weighs classes or items; unknown losses count as weighted."""
    given = [head.op.argument(2, "weight"), head.op.kwargs.get("pos_weight")]
    if any(isinstance(one, Tensor) for one in given) or not head.is_known:
        return True
    if head.op.kwargs.get("reduction") in ("none", "sum"):
        return True
    sampler = getattr(examples.loader, "sampler", None)
    plain = ("SequentialSampler", "RandomSampler", "SubsetRandomSampler")
    return examples.loader is not None and (
        isinstance(sampler, WeightedRandomSampler) or type(sampler).__name__ not in plain
    )


def site_of_labels(scene: Scene, examples: Examples) -> Site | None:
    """The line that makes the labels what the loss gets."""
    births, producers = scene.session.data.births, scene.trace.producers()
    if examples.loader is None:
        return (births.of(examples.label) if examples.label is not None else None) or examples.site
    data, _ = base(examples.dataset)
    if isinstance(data, TensorDataset):
        site = births.of(data.tensors[-1])
        if site is not None:
            return site
    else:
        # Where the data set holds the labels as one tensor, the line that made that tensor.
        for value in vars(data).values() if hasattr(data, "__dict__") else ():
            if (
                isinstance(value, Tensor)
                and value.dim() == 1
                and not value.is_floating_point()
                and id(value) in producers
            ):
                made = scene.session.data.made_at(data)
                return made or producers[id(value)].site
        if examples.size:
            reading = read_slowly(examples, 0, scene.session.locator)
            if reading.label is not None:
                return reading.site_of(reading.label) or scene.session.data.made_at(data)
    return scene.session.data.made_at(data) or examples.site


def _order(scene: Scene, examples: Examples) -> dict[str, object]:
    """For a pass in stored order: share of neighbours with one label, and of any two."""
    if examples.loader is not None:
        facts = scene.session.facts.loaders.get(examples.key if examples.key is not None else -1)
        if facts is None or facts.shuffles is not False:
            return {}
    elif not examples.is_sliced:
        return {}
    size = examples.size
    if size < 40:
        return {}
    if examples.loader is None and examples.label is not None:
        labels = examples.label.reshape(-1) if examples.label.numel() == size else None
        if labels is None:
            return {}
        first, second = labels[:-1], labels[1:]
    else:
        starts = sorted({number * (size - 1) // PAIRS for number in range(min(PAIRS, size - 1))})
        sample = examples.sample(
            2 * PAIRS, indices=[one for start in starts for one in (start, start + 1)], seconds=0.6
        )
        classes = sample.classes
        if classes is None or len(classes) < 40:
            return {}
        classes = classes[: len(classes) // 2 * 2].reshape(-1, 2)
        first, second = classes[:, 0], classes[:, 1]
    shares = torch.bincount(first.long().clamp(0)).float() / len(first)
    return {
        "neighbours_alike": float((first == second).float().mean()),
        "any_two_alike": float(shares.square().sum()),
        "pairs": len(first),
        "order_site": examples.site,
    }
