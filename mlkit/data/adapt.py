"""The user's own data, so that it works everywhere ours does: tensors, arrays, lists, data sets, loaders.

Not here: the catalogue (`mlkit.data.load`), how a `DataLoader` is read (`mlkit.data.loaders`) and what task the shapes
and dtypes say (`mlkit.data.describe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from mlkit.data.batches import Augment, Batches, SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.data.describe import check_labels, covering, describe, input_kind, known_labels
from mlkit.data.loaders import LoaderBatches, from_dataset
from mlkit.data.pipeline import finish
from mlkit.data.source import Source
from mlkit.data.splits import Affine, Batch, Split, TensorSplit, WindowSplit
from mlkit.errors import DataError, did_you_mean
from mlkit.task import InputKind, Task

Array = Tensor | np.ndarray | Sequence[Any]
ArrayInputs = Array | tuple[Array, ...]
Examples = tuple[ArrayInputs, Array]


def from_tensors(
    x: ArrayInputs,
    y: Array,
    *,
    val: Examples | None = None,
    test: Examples | None = None,
    task: Task | None = None,
    seed: int = 0,
    val_fraction: float = 0.1,
    standardize: bool = False,
    name: str = "tensors",
) -> DataBundle:
    """A `DataBundle` of tensors, arrays or lists; it holds copies, on the CPU.

    Tensors keep their dtype (other floats, and bool, become float32). Whole numbers in arrays and lists become float32,
    as features, unless the targets or ``task`` say that they are tokens. uint8 images stay uint8 and are divided by 255
    when a batch is gathered.

    Args:
        x: inputs, first axis = examples. ``(N, F)``, images ``(N, C, H, W)`` (or grey bytes ``(N, H, W)``), series
            ``(N, T, C)``, tokens ``(N, T)``. A tuple is several inputs, in which whole numbers after the first stay
            whole: lengths ``(N,)`` after series or tokens, or category codes ``(N, columns)`` after numbers ``(N, F)``,
            where 0 is what is missing, and what is new to ``train`` counts as that.
        y: targets. Whole numbers or text are classes; floats, ``(N,)`` or ``(N, K)``, are a regression; whole numbers
            ``(N, T)`` are the next tokens of tokens ``x``.
        val: ``(x, y)`` to validate on; None: a stratified part of ``x`` is held out.
        test: ``(x, y)`` to test on; None: there is no test part.
        task: what the data is, where the rules above would get it wrong.
        seed: key of the split.
        val_fraction: share held out for ``val``.
        standardize: standardise inputs, and regression targets, with the statistics of the training part; missing
            numbers (NaN) of ``(N, F)`` become the mean, and a column more says where they were.
        name: what the data set is called.

    Raises:
        DataError: shapes, dtypes or values that do not fit; with the row.

    >>> bundle = from_tensors([[0.0, 1.0], [1.0, 0.0]] * 10, ["cat", "dog"] * 10)
    >>> print(bundle, bundle.task.class_names)
    tensors: vector 2, 2 classes; train 18, val 2 ('cat', 'dog')
    """
    parts = {"val": val, "test": test}
    given = {part: _pair(value, part) for part, value in parts.items() if value is not None}
    names, targets = _targets(
        {"": y, **{part: pair[1] for part, pair in given.items()}}, () if task is None else task.class_names
    )
    tokens = _are_tokens(x, targets[""], task)
    inputs = {part: _inputs(pair[0], tokens=tokens) for part, pair in {"": (x, y), **given}.items()}
    for part in inputs:
        _check_rows(inputs[part], targets[part], part)
    if task is None:
        task = describe(inputs[""], targets[""], others=[targets[part] for part in given], class_names=names)
    elif names and not task.class_names:
        task = replace(task, class_names=names)
    ready = {
        part: _conform(tuple(tensor.cpu() for tensor in tensors), task.input_kind) for part, tensors in inputs.items()
    }
    labels = {part: _class_shape(y.cpu(), task) for part, y in targets.items()}
    source = Source(
        name,
        task,
        ready[""],
        labels[""],
        val_inputs=ready.get("val"),
        val_targets=labels.get("val"),
        test_inputs=ready.get("test"),
        test_targets=labels.get("test"),
        standardize=_how(task) if standardize else "none",
        unit=255.0,
        standardize_targets=standardize,
    )
    return finish(source, seed=seed, val_fraction=val_fraction, test_fraction=0.0)


def as_batches(
    data: Split | DataLoader[Any] | Dataset[Any] | Examples | Batches | list[Any],
    *,
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int = 0,
    device: torch.device | str = "cpu",
    augment: Augment | None = None,
) -> Batches:
    """Batches of whatever the user has.

    Args:
        data: a split of a `DataBundle`, a `DataLoader`, a `Dataset`, a pair ``(x, y)`` of tensors, arrays or lists
            (taken as `from_tensors` takes them, but not copied), or batches already, which come back as they are.
        batch_size: examples in a batch; a loader has its own.
        shuffle: a new order each epoch, a pure function of (seed, epoch); a loader has its own.
        seed: root of the order and the augmentation.
        device: where batches are.
        augment: changes a batch at random.

    Raises:
        ConfigError: ``batch_size`` is not a whole number of 1 or more.
        DataError: none of these, or empty.

    >>> [batch] = as_batches(([[1.0], [2.0]], [0, 1])).epoch(0)
    >>> batch.targets
    tensor([0, 1])
    """
    if isinstance(data, DataLoader):
        return LoaderBatches(data, seed=seed, device=device, augment=augment)
    if isinstance(data, DataBundle):
        raise DataError(
            "one split of a data bundle is needed here", received="a DataBundle", todo="give data.train, or data.val"
        )
    if type(data) is TensorDataset:  # gathered as whole batches instead of one by one; a subclass may do more
        *inputs, targets = data.tensors
        data = (tuple(inputs), targets) if inputs else data
    if isinstance(data, list) and [isinstance(part, (Tensor, np.ndarray)) for part in data] == [True, True]:
        data = (data[0], data[1])  # not a data set of two, whose examples would have no targets
    if isinstance(data, (tuple, Tensor, np.ndarray)):
        data = _as_split(*_pair(data, "data"))
    if hasattr(data, "gather") and hasattr(data, "subset"):
        split = cast(Split, data)
        if len(split) == 0:
            raise DataError("there are no examples", received="an empty split", allowed="one example or more")
        return SplitBatches(split.to(device), batch_size, shuffle=shuffle, seed=seed, augment=augment)
    if hasattr(data, "epoch") and hasattr(data, "num_examples"):
        return cast(Batches, data)
    return from_dataset(
        cast("Dataset[Any]", data),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        device=device,
        augment=augment,
    )


def infer_task(data: DataBundle | Split | Batches | DataLoader[Any] | Dataset[Any] | Examples) -> Task:
    """What the task is, from the data: whole-number targets are classes, floats a regression, and so on.

    The number of classes is the largest label plus one, over all examples. A loader is asked for its data set's
    ``classes``, ``targets`` or ``labels``; where it has none, it is read through once.

    Raises:
        DataError: the targets are of no kind that is known, or a class is below 0.

    >>> infer_task((torch.randn(4, 2), torch.tensor([0, 1, 2, 1]))).num_outputs
    3
    """
    if isinstance(data, DataBundle):
        return data.task
    batches = as_batches(data)
    if isinstance(batches, SplitBatches):
        return _task_of_split(batches.split)
    if isinstance(batches, LoaderBatches):  # without the augmentation: mixup, for one, changes the kind of the targets
        batches = LoaderBatches(batches.loader, seed=batches.seed, device=batches.device)
    rest = iter(batches.epoch(0))
    batch = next(rest)
    task = describe(batch.inputs, batch.targets)
    if task.vocab_size is None and not task.cardinalities:
        if task.kind == "regression":
            return task
        labels, names = known_labels(batches.loader.dataset) if isinstance(batches, LoaderBatches) else (None, ())
        if labels is not None and task.kind == "classification":
            check_labels(labels)
            return describe(batch.inputs, batch.targets, others=[labels], class_names=names)
    return covering(_checked_task(each) for each in chain([batch], rest))


def _checked_task(batch: Batch) -> Task:
    check_labels(batch.targets)
    return describe(batch.inputs, batch.targets)


def _task_of_split(split: Split) -> Task:
    if isinstance(split, TensorSplit):
        check_labels(split.targets)
        return describe(split.inputs, split.targets)
    batch = split.gather(torch.arange(len(split), device=split.device)[:1])
    # The targets of all windows of a long text would take as many times its memory as a window is long.
    every = split.series if isinstance(split, WindowSplit) and split.horizon == 0 else split.targets
    return describe(batch.inputs, batch.targets, others=[] if every.is_floating_point() else [every])


def _inputs(x: ArrayInputs, *, tokens: bool = False) -> tuple[Tensor, ...]:
    """Inputs as tensors; the whole numbers of arrays and lists stay whole where they are tokens, codes or lengths."""
    if isinstance(x, Mapping):
        raise DataError(
            "inputs by name need a data set or a loader here",
            received=f"a mapping with the keys {', '.join(map(str, x))}",
            allowed="a tensor, an array, a list, or a tuple of these",
            todo="give a Dataset or DataLoader that yields (mapping, y)",
        )
    values = x if isinstance(x, tuple) else (x,)
    if not values:
        raise DataError("there are no inputs", received="an empty tuple", allowed="one input or more")
    return tuple(_array(value, whole=tokens if number == 0 else True) for number, value in enumerate(values))


def _array(value: Array, *, whole: bool) -> Tensor:
    """A tensor; whole numbers of arrays and lists as float32 features unless they stay ``whole``; bytes stay bytes."""
    value = _stacked(value)
    if isinstance(value, Tensor):
        return value.detach().float() if value.is_floating_point() or value.dtype == torch.bool else value.detach()
    array = _numpy(value)
    if array.dtype.kind not in "fiub":
        raise DataError(
            "inputs must be numbers",
            received=f"an array of {array.dtype}",
            allowed="floats or whole numbers",
            todo="turn text columns into codes, or use data=csv, which does",
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array.astype(np.int64 if whole and array.dtype.kind in "iu" else np.float32))


def _stacked(value: object) -> Any:
    """A list of tensors as one tensor; anything else as it is."""
    if not (isinstance(value, list) and value and all(isinstance(item, Tensor) for item in value)):
        return value
    if len({item.shape for item in value}) > 1:
        raise _ragged("tensors of different shapes")
    return torch.stack(value)


def _numpy(value: object) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        raise _ragged("a ragged list") from None


def _ragged(received: str) -> DataError:
    return DataError(
        "rows are of different lengths",
        received=received,
        allowed="rows of one length",
        todo="pad them, and give the lengths as a second input",
    )


def _targets(parts: Mapping[str, Array], names: tuple[str, ...] = ()) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Targets as tensors; text becomes class indices, in the order of ``names``, else alphabetical over all parts."""
    values = {part: _stacked(y) for part, y in parts.items()}
    if all(isinstance(y, Tensor) for y in values.values()):
        return (), {part: _number(y) for part, y in values.items()}
    arrays = {part: _numpy(y.detach().cpu() if isinstance(y, Tensor) else y) for part, y in values.items()}
    if all(array.dtype.kind in "fiub" for array in arrays.values()):
        return (), {part: _number(torch.from_numpy(_native(array))) for part, array in arrays.items()}
    labels = {part: [_label(item, row) for row, item in enumerate(array.ravel())] for part, array in arrays.items()}
    names = names or tuple(sorted({label for part in labels.values() for label in part}))
    code = {label: number for number, label in enumerate(names)}
    for label in (label for part in labels.values() for label in part):
        if label not in code:
            todo = did_you_mean(label, names) or "correct the label, or task.class_names"
            raise DataError("unknown label", received=repr(label), allowed=", ".join(names), todo=todo)
    return names, {part: torch.tensor([code[label] for label in values]) for part, values in labels.items()}


def _label(item: object, row: int) -> str:
    """A label as text; what stands for a missing one (None, NaN) would otherwise become a class of its own."""
    if isinstance(item, bytes):
        return item.decode(errors="replace")
    if isinstance(item, (str, int, float, np.generic)) and item == item:
        return str(item)
    raise DataError(
        "a label is missing or no label",
        received=f"{item!r} in row {row}",
        allowed="text or a number in every row",
        todo="leave out these examples",
    )


def _native(array: np.ndarray) -> np.ndarray:
    """A copy in the machine's byte order, which is all that torch reads."""
    return array.astype(array.dtype.newbyteorder("="))


def _number(y: Tensor) -> Tensor:
    return y.detach().float() if y.is_floating_point() else y.detach().long()


def _are_tokens(x: ArrayInputs, y: Tensor, task: Task | None) -> bool:
    """Whether whole numbers in arrays and lists are tokens, not features: one target a step, or the task, says so."""
    if task is not None:
        return task.input_kind == "tokens"
    if y.is_floating_point() or y.ndim != 2 or y.shape[1] == 1:
        return False
    first = _stacked(x[0] if isinstance(x, tuple) else x)
    return tuple(first.shape if isinstance(first, Tensor) else _numpy(first).shape) == tuple(y.shape)


def _conform(inputs: tuple[Tensor, ...], kind: InputKind) -> tuple[Tensor, ...]:
    """Grey images ``(N, H, W)`` get their channel axis; channels at the end are refused."""
    first = inputs[0]
    if kind != "image":
        return inputs
    if first.ndim == 3:
        return (first[:, None], *inputs[1:])
    if first.ndim == 4 and first.shape[1] > 4 and first.shape[3] in (1, 3, 4):
        raise DataError(
            "the channels of these images seem to be the last axis",
            received=str(tuple(first.shape)),
            allowed="(N, C, H, W)",
            todo="give x.permute(0, 3, 1, 2) (a tensor) or x.transpose(0, 3, 1, 2) (an array)",
        )
    return inputs


def _class_shape(y: Tensor, task: Task) -> Tensor:
    """A single column of classes as ``(N,)``."""
    return y[:, 0] if task.kind == "classification" and y.ndim == 2 and y.shape[1] == 1 else y


def _how(task: Task) -> Literal["channel", "feature", "none"]:
    if task.input_kind in ("image", "series"):
        return "channel"
    return "feature" if task.input_kind in ("vector", "table") else "none"


def _pair(value: object, what: str) -> Examples:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    length = f" of length {len(value)}" if isinstance(value, tuple) else ""
    raise DataError(
        f"{what} must be a pair (x, y)",
        received=f"{type(value).__name__}{length}",
        allowed="(inputs, targets); several inputs as ((x1, x2), y)",
        todo="put inputs and targets into one tuple of two",
    )


def _check_rows(inputs: tuple[Tensor, ...], targets: Tensor, part: str = "") -> None:
    for number, tensor in enumerate(inputs):
        if tensor.ndim == 0 or targets.ndim == 0 or len(tensor) != len(targets):
            raise DataError(
                f"{part}{': ' if part else ''}inputs and targets differ in length",
                received=f"input {number} of shape {tuple(tensor.shape)}, targets of shape {tuple(targets.shape)}",
                allowed="one target for each row of every input",
            )


def _as_split(x: ArrayInputs, y: Array) -> TensorSplit:
    """All of ``x`` and ``y`` as one split; what `finish` checks of the values is left to the loss."""
    names, parts = _targets({"": y})
    if names:  # numbered alone, the labels of another part would get other numbers
        raise DataError(
            "labels that are text need to be numbered with those of the other parts",
            received=f"labels such as {names[0]!r}",
            allowed="whole numbers from 0",
            todo="make a bundle of all parts: mlkit.data.from_tensors(x, y, val=(x_val, y_val))",
        )
    targets = parts[""]
    inputs = _inputs(x, tokens=_are_tokens(x, targets, None))
    _check_rows(inputs, targets)
    kind, _ = input_kind(inputs)
    compact = inputs[0].dtype == torch.uint8 and kind == "image"
    if targets.shape[1:] == (1,) and not targets.is_floating_point() and targets.shape != inputs[0].shape:
        targets = targets[:, 0]
    prepare = Affine(torch.tensor(1 / 255.0), torch.tensor(0.0)) if compact else None
    return TensorSplit(_conform(inputs, kind), targets, prepare)
