"""The user's own data, so that it works everywhere ours does: tensors, arrays, lists, data sets, loaders.

Not here: the catalogue (`mlkit.data.load`) and how a `DataLoader` is read (`mlkit.data.loaders`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from mlkit.data.batches import Augment, Batches, SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.data.loaders import LoaderBatches, from_dataset
from mlkit.data.pipeline import finish
from mlkit.data.source import Source
from mlkit.data.splits import Affine, Inputs, Split, TensorSplit
from mlkit.errors import DataError
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
    """A `DataBundle` of tensors, arrays or lists.

    Tensors keep their dtype (float64 becomes float32); whole numbers in arrays and lists become float32, as features;
    uint8 images stay uint8 and are divided by 255 when a batch is gathered.

    Args:
        x: inputs, first axis = examples; a tuple is several inputs. ``(N, F)``, images ``(N, C, H, W)`` (or grey bytes
            ``(N, H, W)``), series ``(N, T, C)``, tokens ``(N, T)``.
        y: targets. Whole numbers or text are classes; floats, ``(N,)`` or ``(N, K)``, are a regression; whole numbers
            ``(N, T)`` are the next tokens of tokens ``x``.
        val: ``(x, y)`` to validate on; None: a stratified part of ``x`` is held out.
        test: ``(x, y)`` to test on; None: there is no test part.
        task: what the data is, where the rules above would get it wrong.
        seed: key of the split.
        val_fraction: share held out for ``val``.
        standardize: standardise inputs, and regression targets, with the statistics of the training part.
        name: what the data set is called.

    Raises:
        DataError: shapes, dtypes or values that do not fit; with the row.

    >>> bundle = from_tensors([[0.0, 1.0], [1.0, 0.0]] * 10, ["cat", "dog"] * 10)
    >>> print(bundle, bundle.task.class_names)
    tensors: vector 2, 2 classes; train 18, val 2 ('cat', 'dog')
    """
    inputs = _inputs(x)
    parts = {"val": val, "test": test}
    given = {part: _pair(value, part) for part, value in parts.items() if value is not None}
    names, targets = _targets({"": y, **{part: pair[1] for part, pair in given.items()}})
    task = task or describe(inputs, targets[""], others=[targets[part] for part in given], class_names=names)
    others = {part: tuple(_conform(_inputs(pair[0]), task)) for part, pair in given.items()}
    source = Source(
        name,
        task,
        _conform(inputs, task),
        _class_shape(targets[""], task),
        val_inputs=others.get("val"),
        val_targets=_class_shape(targets["val"], task) if "val" in given else None,
        test_inputs=others.get("test"),
        test_targets=_class_shape(targets["test"], task) if "test" in given else None,
        standardize=_how(task) if standardize else "none",
        unit=255.0,
        standardize_targets=standardize,
    )
    return finish(source, seed=seed, val_fraction=val_fraction, test_fraction=0.0)


def as_batches(
    data: Split | DataLoader[Any] | Dataset[Any] | Examples | Batches,
    *,
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int = 0,
    device: torch.device | str = "cpu",
    augment: Augment | None = None,
) -> Batches:
    """Batches of whatever the user has.

    Args:
        data: a split of a `DataBundle`, a `DataLoader`, a `Dataset`, a pair ``(x, y)`` of tensors, arrays or lists, or
            batches already.
        batch_size: examples in a batch; a loader has its own.
        shuffle: a new order each epoch, a pure function of (seed, epoch); a loader has its own.
        seed: root of the order and the augmentation.
        device: where batches are.
        augment: changes a batch at random.

    Raises:
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
    if isinstance(data, TensorDataset):  # already tensors: gathered as whole batches instead of one by one
        *inputs, targets = data.tensors
        data = (tuple(inputs), targets) if inputs else data
    if isinstance(data, tuple):
        data = _as_split(*_pair(data, "data"))
    if hasattr(data, "gather") and hasattr(data, "targets"):
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
        DataError: the targets are of no kind that is known.

    >>> infer_task((torch.randn(4, 2), torch.tensor([0, 1, 2, 1]))).num_outputs
    3
    """
    if isinstance(data, DataBundle):
        return data.task
    batches = as_batches(data)
    if isinstance(batches, SplitBatches):
        split = batches.split
        inputs = split.gather(torch.arange(len(split), device=split.device)[: batches.batch_size]).inputs
        return describe(inputs, split.targets)
    batch = next(iter(batches.epoch(0)))
    if isinstance(batches, LoaderBatches) and not batch.targets.is_floating_point():
        return describe(batch.inputs, batch.targets, others=[_all_labels(batches)])
    return describe(batch.inputs, batch.targets)


def describe(
    inputs: Inputs, targets: Tensor, *, others: Sequence[Tensor] = (), class_names: tuple[str, ...] = ()
) -> Task:
    """The task that examples of these shapes and dtypes belong to.

    Args:
        inputs: inputs of some examples.
        targets: targets of some examples.
        others: further targets; the number of classes covers them all.
        class_names: where they are known.
    """
    tensors = tuple(inputs.values()) if isinstance(inputs, Mapping) else inputs
    first = tensors[0]
    kind, has_lengths = _input_kind(tensors)
    shape = tuple(first.shape[1:])
    if targets.is_floating_point():
        outputs = 1 if targets.ndim == 1 else targets.shape[-1]
        return Task("regression", kind, shape, outputs, has_lengths=has_lengths)
    highest = max((int(y.max()) for y in (targets, *others) if y.numel()), default=-1)
    outputs = max(highest + 1, len(class_names))
    vocabulary = int(first.max()) + 1 if kind == "tokens" and first.numel() else None
    if targets.ndim == 1 or (targets.ndim == 2 and targets.shape[1] == 1 and kind != "tokens"):
        return Task(
            "classification",
            kind,
            shape,
            outputs,
            class_names=class_names,
            cardinalities=_cardinalities(tensors) if kind == "table" else (),
            vocab_size=vocabulary,
            has_lengths=has_lengths,
        )
    if (kind == "tokens" and targets.shape == first.shape) or targets.ndim == 2:
        outputs = max(outputs, vocabulary or 0)
        return Task("next_token", "tokens", shape, outputs, vocab_size=outputs, has_lengths=has_lengths)
    raise DataError(
        "the targets are of no known kind",
        received=f"{targets.dtype} of shape {tuple(targets.shape)}",
        allowed="whole numbers (N,) for classes or (N, T) for tokens, floats (N,) or (N, K) for a regression",
        todo="change their shape, or give task=mlkit.Task(…)",
    )


def _input_kind(tensors: tuple[Tensor, ...]) -> tuple[InputKind, bool]:
    """The kind of input, and whether the last input holds lengths."""
    first, rest = tensors[0], tensors[1:]
    single: InputKind = "other"
    if first.ndim == 2:
        single = "tokens" if first.dtype in (torch.int32, torch.int64) else "vector"
    elif first.ndim == 3:
        single = "image" if first.dtype == torch.uint8 else "series"
    elif first.ndim == 4:
        single = "image"
    if not rest:
        return single, False
    whole = len(rest) == 1 and not rest[0].is_floating_point()
    if whole and rest[0].ndim == 1 and single in ("series", "tokens"):
        return single, True
    if whole and rest[0].ndim == 2 and single == "vector":
        return "table", False
    return "other", False


def _cardinalities(tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
    return tuple((tensors[1].amax(dim=0) + 1).tolist())


def _inputs(x: ArrayInputs) -> tuple[Tensor, ...]:
    return tuple(_array(value) for value in x) if isinstance(x, tuple) else (_array(x),)


def _array(value: Array) -> Tensor:
    """A tensor; whole numbers of arrays and lists as float32 features, bytes as they are."""
    if isinstance(value, Tensor):
        return value.detach().float() if value.dtype == torch.float64 else value.detach()
    array = _numpy(value)
    if array.dtype.kind not in "fiub":
        raise DataError(
            "inputs must be numbers",
            received=f"an array of {array.dtype}",
            allowed="floats or whole numbers",
            todo="turn text columns into codes, or use data=csv, which does",
        )
    if array.dtype == np.uint8 or (array.dtype.kind in "iu" and array.ndim == 1):
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array.astype(np.float32))


def _numpy(value: object) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(
            "rows are of different lengths",
            received="a ragged list",
            allowed="rows of one length",
            todo="pad them, and give the lengths as a second input",
        ) from None


def _targets(parts: Mapping[str, Array]) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Targets as tensors; text becomes class indices, in the order of the alphabet over all parts."""
    if all(isinstance(y, Tensor) for y in parts.values()):
        return (), {part: _whole(cast(Tensor, y)) for part, y in parts.items()}
    arrays = {part: _numpy(y.cpu() if isinstance(y, Tensor) else y) for part, y in parts.items()}
    if all(array.dtype.kind in "fiub" for array in arrays.values()):
        return (), {part: _whole(torch.from_numpy(array.copy())) for part, array in arrays.items()}
    names = sorted({str(label) for array in arrays.values() for label in array.reshape(-1).tolist()})
    code = {label: number for number, label in enumerate(names)}
    codes = {part: [code[str(label)] for label in array.reshape(-1).tolist()] for part, array in arrays.items()}
    return tuple(names), {part: torch.tensor(values) for part, values in codes.items()}


def _whole(y: Tensor) -> Tensor:
    return y.detach().float() if y.is_floating_point() else y.detach().long()


def _conform(inputs: tuple[Tensor, ...], task: Task) -> tuple[Tensor, ...]:
    """Grey images ``(N, H, W)`` get their channel axis; channels at the end are refused."""
    first = inputs[0]
    if task.input_kind != "image":
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


def _how(task: Task) -> Any:
    return {"image": "channel", "series": "channel", "vector": "feature", "table": "feature"}.get(
        task.input_kind, "none"
    )


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


def _as_split(x: ArrayInputs, y: Array) -> TensorSplit:
    """All of ``x`` and ``y`` as one split, with the checks of `from_tensors`' pipeline left to the loss."""
    inputs = _inputs(x)
    _, targets = _targets({"": y})
    for number, tensor in enumerate(inputs):
        if tensor.ndim == 0 or targets[""].ndim == 0 or len(tensor) != len(targets[""]):
            raise DataError(
                "inputs and targets differ in length",
                received=f"input {number} of shape {tuple(tensor.shape)}, targets of shape {tuple(targets[''].shape)}",
                allowed="one target for each row of every input",
            )
    task = describe(inputs, targets[""])
    inputs = _conform(inputs, task)
    compact = inputs[0].dtype == torch.uint8 and task.input_kind == "image"
    prepare = Affine(torch.tensor(1 / 255.0), torch.tensor(0.0)) if compact else None
    return TensorSplit(inputs, _class_shape(targets[""], task), prepare)


def _all_labels(batches: LoaderBatches) -> Tensor:
    """Labels of all examples of a loader: from what its data set says, else by reading it."""
    dataset: Any = batches.loader.dataset
    classes = getattr(dataset, "classes", None)
    if classes is not None and len(classes):
        return torch.tensor([len(classes) - 1])
    for attribute in ("targets", "labels"):
        labels = getattr(dataset, attribute, None)
        if isinstance(labels, (Tensor, np.ndarray, list)) and len(labels):
            return _targets({"": labels})[1][""]
    return torch.stack([batch.targets.max() for batch in batches.epoch(0)])
