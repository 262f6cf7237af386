"""The pipeline from what was read (`Source`) to what is trained on (`DataBundle`): filter, split, limit, standardise.

Every statistic is computed after the split from the training examples alone. Not here: reading files (the catalogue
entries) and the choice of which example goes where (`mlkit.data.partition`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mlkit.data.bundle import DataBundle
from mlkit.data.checks import check_settings, check_source, check_train, class_indices
from mlkit.data.fingerprint import hash_splits
from mlkit.data.partition import partition, subset
from mlkit.data.source import Source
from mlkit.data.splits import Affine, TensorSplit
from mlkit.data.standardize import Standardizer, recode_categories, standardize_targets
from mlkit.task import Task

_CHUNK = 4096  # images resized at a time, so that the float copy stays small


@dataclass(frozen=True)
class Part:
    """The raw examples of one split on their way through the pipeline."""

    inputs: tuple[Tensor, ...]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Tensor) -> Part:
        return Part(tuple(x[index] for x in self.inputs), self.targets[index])


Parts = dict[str, Part]  # by split name; always "train" and "val"


def finish(
    source: Source,
    *,
    seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    limit: int | None = None,
    classes: Sequence[int | str] | None = None,
    image_size: int | None = None,
) -> DataBundle:
    """Filter, split, limit, resize and standardise what a catalogue entry has read.

    Args:
        source: the raw content.
        seed: key of the split.
        val_fraction: share held out for ``val``: of all examples, or of the training part where there is an
            official test; not used where there is an official validation part.
        test_fraction: share held out for ``test``; not used where there is an official test; 0 makes none.
        limit: number of training examples to keep, ``val`` shrinking in proportion; the test part is never touched.
        classes: names or indices of the classes to keep; they become 0, 1, … in the order given.
        image_size: images are resized to this height and width (bilinear, anti-aliased).

    Returns:
        The splits, ready to train on. uint8 inputs stay uint8 and are standardised when gathered; float inputs are
        standardised here, once.

    Raises:
        ConfigError: a setting that cannot be right, or does not fit this kind of data.
        DataError: the content is not usable; the message names the row and the column.

    >>> x, y = torch.randn(100, 3), torch.arange(100) % 2
    >>> print(finish(Source("toy", Task("classification", "vector", (3,), 2), (x,), y, standardize="feature")))
    toy: vector 3, 2 classes; train 70, val 10, test 20
    """
    check_settings(
        source.task, limit=limit, image_size=image_size, val_fraction=val_fraction, test_fraction=test_fraction
    )
    source = _as_expected(source)
    check_source(source)
    if classes is not None:
        source = _keep_classes(source, class_indices(source.task, classes))
    parts, notes = _split(source, seed=seed, val_fraction=val_fraction, test_fraction=test_fraction)
    if limit is not None and limit < len(parts["train"]):
        notes["limit"] = f"{limit:,} of {len(parts['train']):,} training examples"
        parts = _limit(parts, limit, source, seed=seed)
    if image_size is not None and tuple(source.inputs[0].shape[2:]) != (image_size, image_size):
        source, parts = _resize(source, parts, image_size)
    check_train(source.name, source.task, parts["train"].targets)
    task, splits = _standardize(source, parts)
    return DataBundle(
        name=source.name,
        task=task,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        target_val=splits.get("target_val"),
        fingerprint=hash_splits(task, splits.items()),
        notes={**source.notes, **notes},
    )


def _as_expected(source: Source) -> Source:
    """Regression targets as float32 ``(N, K)``, classes as int64; the check refuses what cannot be that."""
    regression = source.task.kind == "regression"

    def targets(y: Tensor) -> Tensor:
        if not regression:
            return y if y.is_floating_point() else y.long()
        return y[:, None].float() if y.ndim == 1 else y.float()

    return replace(
        source,
        targets=targets(source.targets),
        val_targets=None if source.val_targets is None else targets(source.val_targets),
        test_targets=None if source.test_targets is None else targets(source.test_targets),
    )


def _official(source: Source) -> Parts:
    """The validation and test parts that the data set itself defines."""
    parts = {}
    if source.val_inputs is not None and source.val_targets is not None:
        parts["val"] = Part(source.val_inputs, source.val_targets)
    if source.test_inputs is not None and source.test_targets is not None:
        parts["test"] = Part(source.test_inputs, source.test_targets)
    return parts


def _keep_classes(source: Source, kept: list[int]) -> Source:
    names = source.task.class_names or tuple(map(str, range(source.task.num_outputs)))
    code = torch.full((source.task.num_outputs,), -1)
    code[torch.tensor(kept)] = torch.arange(len(kept))

    def keep(part: Part) -> Part:
        part = part.take(torch.where(code[part.targets] >= 0)[0])
        return Part(part.inputs, code[part.targets])

    train = keep(Part(source.inputs, source.targets))
    official: dict[str, Tensor | tuple[Tensor, ...]] = {}
    for name, part in _official(source).items():
        official |= {f"{name}_inputs": keep(part).inputs, f"{name}_targets": keep(part).targets}
    return replace(
        source,
        task=replace(source.task, num_outputs=len(kept), class_names=tuple(names[i] for i in kept)),
        inputs=train.inputs,
        targets=train.targets,
        groups=None if source.groups is None else source.groups[code[source.targets] >= 0],
        notes={**source.notes, "classes": ", ".join(names[i] for i in kept)},
        **official,  # type: ignore[arg-type]
    )


def _labels(task: Task, targets: Tensor) -> Tensor | None:
    """What to stratify by: the classes, or nothing."""
    return targets if task.kind == "classification" else None


def _split(source: Source, *, seed: int, val_fraction: float, test_fraction: float) -> tuple[Parts, dict[str, str]]:
    whole, parts = Part(source.inputs, source.targets), _official(source)
    cuts = {"val": val_fraction, "test": test_fraction}
    cuts = {name: share for name, share in cuts.items() if name not in parts and share > 0}
    rows = partition(
        len(whole),
        list(cuts.values()),
        labels=_labels(source.task, source.targets),
        groups=source.groups,
        ordered=source.ordered,
        seed=seed,
    )
    parts |= {name: whole.take(index) for name, index in zip(("train", *cuts), rows, strict=True)}
    how = "in time order" if source.ordered else "by group" if source.groups is not None else "at random"
    if how == "at random" and source.task.kind == "classification":
        how = "at random, stratified by class"
    notes = {"split": f"{' and '.join(cuts)} cut {how}, seed {seed}" if cuts else "official"}
    if source.shifted_test and "test" in parts:
        parts = _target_val(source, parts, seed=seed)
    return parts, notes


def _target_val(source: Source, parts: Parts, *, seed: int) -> Parts:
    """Half of a test part from another distribution becomes a second validation set."""
    test = parts["test"]
    labels = _labels(source.task, test.targets)
    first, second = partition(len(test), [0.5], labels=labels, ordered=source.ordered, seed=seed, purpose="target_val")
    if source.ordered:
        first, second = second, first  # the later half stays the test
    return {**parts, "test": test.take(first), "target_val": test.take(second)}


def _limit(parts: Parts, limit: int, source: Source, *, seed: int) -> Parts:
    """Keep ``limit`` training examples and as large a share of val."""
    share = limit / len(parts["train"])
    sizes = {"train": limit, "val": max(1, round(share * len(parts["val"])))}
    return {**parts, **{name: _shrink(parts[name], size, name, source, seed) for name, size in sizes.items()}}


def _shrink(part: Part, size: int, name: str, source: Source, seed: int) -> Part:
    if source.ordered:  # what lies next to the border between train and val, so that time stays unbroken
        n = len(part)
        return part.take(torch.arange(n - size, n) if name == "train" else torch.arange(min(size, n)))
    labels = _labels(source.task, part.targets)
    return part.take(subset(len(part), size, labels=labels, seed=seed, purpose=f"limit-{name}"))


def _resize(source: Source, parts: Parts, size: int) -> tuple[Source, Parts]:
    resized = {
        name: Part((resize_images(part.inputs[0], size, unit=source.unit), *part.inputs[1:]), part.targets)
        for name, part in parts.items()
    }
    is_bytes = source.inputs[0].dtype == torch.uint8
    return replace(source, unit=255.0 if is_bytes else source.unit), resized


def resize_images(images: Tensor, size: int, *, unit: float = 255.0) -> Tensor:
    """Resize ``(N, C, H, W)`` to ``(N, C, size, size)``, bilinear and anti-aliased.

    uint8 images are stretched from ``unit`` to the full range of a byte, so that few grey levels stay smooth.

    >>> resize_images(torch.full((1, 1, 8, 8), 16, dtype=torch.uint8), 4, unit=16.0).unique()
    tensor([255], dtype=torch.uint8)
    """
    is_bytes = images.dtype == torch.uint8
    done = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        pixels = chunk.float() * (255.0 / unit) if is_bytes else chunk.float()
        pixels = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
        done.append(pixels.round_().clamp_(0, 255).to(torch.uint8) if is_bytes else pixels)
    return torch.cat(done)


def _standardize(source: Source, parts: Parts) -> tuple[Task, dict[str, TensorSplit]]:
    """The task completed and the splits made ready, with the statistics of ``parts["train"]``."""
    task, train = source.task, parts["train"]
    standardizer = Standardizer.of(source, train.inputs)
    inputs = {name: standardizer.apply(part.inputs) for name, part in parts.items()}
    if task.input_kind == "table" and len(train.inputs) > 1:
        inputs, cardinalities = recode_categories(inputs)
        task = replace(task, cardinalities=cardinalities)
    targets = {name: part.targets for name, part in parts.items()}
    if task.kind == "regression" and source.standardize_targets:
        targets, mean, std = standardize_targets(targets)
        task = replace(task, target_mean=mean, target_std=std)
    task = replace(task, input_shape=tuple(inputs["train"][0].shape[1:]))
    prepare: Affine | None = standardizer.prepare
    return task, {name: TensorSplit(inputs[name], targets[name], prepare) for name in parts}
