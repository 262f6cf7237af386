"""Batches from a user's own `DataLoader` or `Dataset`, in an order that is a pure function of (seed, epoch).

Not here: tensors and arrays that fit in memory (`mlkit.data.adapt`), which need no loader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sized
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Sampler

from mlkit.data.batches import Augment, batch_bounds, check_batch_size
from mlkit.data.randomness import PrivateRandomness, generators_of
from mlkit.data.splits import Batch, Inputs
from mlkit.errors import DataError
from mlkit.runtime.keys import derive_seed

TARGET_KEYS = ("label", "labels", "target", "targets", "y")
# What torch's collate functions say of examples that do not fit each other.
_RAGGED = ("stack expects each tensor to be equal size", "each element in list of batch should be of equal size")
# Seconds of reading ahead. Lending the generators takes 0.1 ms, more than a small batch; of 2 ms it is a twentieth.
_AHEAD = 0.002


class LoaderBatches:
    """The batches of a user's `DataLoader`, moved to a device; the loader itself is used as it is.

    While the loader works, it sees random generators of its own (torch on the CPU, numpy, random, and those that the
    loader or its sampler carries), seeded by (seed, epoch); afterwards all of them are as they were. So an epoch's
    batches are the same in every process, whatever ran before, and worker processes get keyed seeds too (a
    ``worker_init_fn`` of the user stays in force). Two things no key can reach, so that what they draw is not
    repeatable after a resume, while the order is: a generator that the data set keeps for itself, and the workers'
    randomness with ``persistent_workers``, which runs on from epoch to epoch.

    Args:
        loader: over a map-style or iterable data set; its batches are ``(x, y)``, ``(x1, x2, …, y)``, ``(mapping, y)``
            or a mapping with one of the keys label, labels, target, targets, y.
        seed: root of the order.
        device: where batches are moved to.
        augment: changes a batch at random, on the device; keyed by (seed, epoch, batch).

    Raises:
        DataError: the loader is empty, yields fewer batches than its length says or nothing the second time, or a
            batch has another structure.

    >>> from torch.utils.data import TensorDataset
    >>> data = TensorDataset(torch.arange(6.0)[:, None], torch.arange(6))
    >>> batches = LoaderBatches(DataLoader(data, batch_size=2, shuffle=True), seed=1)
    >>> first, again = list(batches.epoch(0)), list(batches.epoch(0))
    >>> all(torch.equal(a.targets, b.targets) for a, b in zip(first, again))
    True
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        augment: Augment | None = None,
    ) -> None:
        self.loader = loader
        self.seed = seed
        self.device = torch.device(device)
        self.augment = augment
        self._counted: tuple[int, int] | None = None
        self._was_read = False
        if _length(loader) == 0:
            raise _empty()

    def __len__(self) -> int:
        """Batches in an epoch; a stream that does not know its length, and has an end, is read through to find out."""
        length = _length(self.loader)
        return self._count()[0] if length is None else length

    @property
    def num_examples(self) -> int:
        """Examples in an epoch; counted in the same way where the loader does not know."""
        if isinstance(self.loader.batch_sampler, JoinedBatches):
            return self.loader.batch_sampler.examples
        examples, size = _length(self.loader.sampler), self.loader.batch_size
        if isinstance(self.loader.dataset, IterableDataset) or size is None or examples is None:
            return self._count()[1]
        return len(self) * size if self.loader.drop_last else examples

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from batch ``start`` on; earlier ones are read and dropped, so streams stay in step."""
        stream = torch.Generator(device=self.device) if self.augment is not None else None
        for number, item in enumerate(self._items(epoch)):
            if number < start:
                continue
            batch = move(batch_of(item), self.device)
            if self.augment is not None and stream is not None:
                stream.manual_seed(derive_seed(self.seed, "augment", epoch, number))
                batch = self.augment(batch, stream)
            yield batch

    def _items(self, epoch: int) -> Iterator[object]:
        """What the loader yields, with its own randomness put in place around each of its steps."""
        randomness = PrivateRandomness(derive_seed(self.seed, "loader", epoch), generators_of(self.loader))
        restore = _set_sampler_epoch(self.loader, epoch)
        number = 0
        try:
            with randomness:
                items = iter(self.loader)
            stop: Exception | None = None
            while stop is None:
                with randomness:
                    read, stop = _read_ahead(items, seconds=0.0 if self.loader.num_workers else _AHEAD)
                for item in read:
                    number += 1
                    self._was_read = True
                    yield item
            if not isinstance(stop, StopIteration):
                raise stop
        finally:
            restore()
        self._check_complete(number)

    def _check_complete(self, number: int) -> None:
        """Refuse an epoch that ended after ``number`` batches without having shown all of them."""
        if number == 0 and self._was_read:
            raise DataError(
                "the data set can be read only once",
                received="no batches when read again",
                allowed="a data set that starts anew each time it is iterated",
                todo="create the iterator (open the file, start the generator) in __iter__ of the IterableDataset",
            )
        if number == 0:
            raise _empty()
        length = _length(self.loader)
        if length is not None and number < length:
            raise DataError(
                "the loader has fewer batches than its length says",
                received=f"{number:,} batches, len(loader) = {length:,}",
                allowed="at least as many as its length",
                todo="correct __len__ of the data set or sampler, or remove it: the batches are then counted",
            )

    def _count(self) -> tuple[int, int]:
        if self._counted is None:
            sizes = [len(batch_of(item).targets) for item in self._items(0)]
            self._counted = (len(sizes), sum(sizes))
        return self._counted


def from_dataset(
    dataset: Dataset[Any],
    *,
    batch_size: int = 32,
    shuffle: bool = True,
    workers: int = 0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    augment: Augment | None = None,
) -> LoaderBatches:
    """Batches of a `Dataset` that is read example by example.

    Args:
        dataset: map-style (``len(dataset)`` and ``dataset[i]``), or iterable (then not shuffled).
        batch_size: examples in a batch.
        shuffle: a new order each epoch, a pure function of (seed, epoch).
        workers: processes that read; 0 reads in this one. The order is the same.
        seed: root of the order and of what the data set draws.
        device: where batches are moved to.
        augment: see `LoaderBatches`.

    Raises:
        DataError: the data set is empty, or not a data set.

    >>> from torch.utils.data import TensorDataset
    >>> batches = from_dataset(TensorDataset(torch.randn(10, 3), torch.arange(10) % 2), batch_size=4)
    >>> len(batches), batches.num_examples
    (3, 10)
    """
    check_batch_size(batch_size)
    settings: dict[str, Any] = {"num_workers": workers, "pin_memory": torch.device(device).type == "cuda"}
    if isinstance(dataset, IterableDataset):
        settings["batch_size"] = batch_size
    else:
        _check_dataset(dataset)
        # With a generator of its own the order is the same whatever else is drawn, which depends on the workers.
        shuffled = RandomSampler(dataset, generator=torch.Generator()) if shuffle else None  # type: ignore[arg-type]
        sampler = range(_length(dataset) or 0) if shuffled is None else shuffled
        settings["batch_sampler"] = JoinedBatches(sampler, batch_size, join_single=shuffle)
    loader: DataLoader[Any] = DataLoader(dataset, **settings)
    return LoaderBatches(loader, seed=seed, device=device, augment=augment)


class JoinedBatches(Sampler[list[int]]):
    """Batches of what ``sampler`` yields, cut as `mlkit.data.batches.SplitBatches` cuts: see `batch_bounds`."""

    def __init__(self, sampler: Sampler[int] | range, batch_size: int, *, join_single: bool) -> None:
        self.sampler = sampler
        self.examples = len(sampler)  # type: ignore[arg-type]
        self.bounds = batch_bounds(self.examples, batch_size, join_single=join_single)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)  # when the first batch is asked for: a loader with workers asks for two iterators
        for begin, end in pairwise(self.bounds):
            yield order[begin:end]

    def __len__(self) -> int:
        return len(self.bounds) - 1


def _check_dataset(dataset: object) -> None:
    if isinstance(dataset, (str, bytes)):
        raise DataError(
            "this is not a data set",
            received=repr(dataset),
            allowed="tensors (x, y), a Dataset, a DataLoader or a DataBundle",
            todo="to use a data set of the catalogue by name, load it first: mlkit.data.load(name)",
        )
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise DataError(
            "this is not a data set",
            received=type(dataset).__name__,
            allowed="an object with __len__ and __getitem__, or a torch.utils.data.IterableDataset",
            todo="give tensors (x, y), a Dataset or a DataLoader",
        )
    if _length(dataset) == 0:
        raise _empty()


def batch_of(item: object) -> Batch:
    """A batch as mlkit has it from what a loader yields; see `LoaderBatches` for the structures.

    Raises:
        DataError: another structure, or something that is not a tensor.
    """
    if isinstance(item, Mapping):
        key = next((key for key in TARGET_KEYS if key in item), None)
        if key is None or len(item) < 2:
            raise _structure(f"a mapping with the keys {', '.join(map(str, item))}")
        rest = {str(name): value for name, value in item.items() if name != key}
        return Batch(_tensors(rest), _target(item[key]))
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        length = f" of length {len(item)}" if isinstance(item, (tuple, list)) else ""
        raise _structure(f"{type(item).__name__}{length}")
    *inputs, targets = item
    if len(inputs) == 1 and isinstance(inputs[0], Mapping):
        return Batch(_tensors({str(name): value for name, value in inputs[0].items()}), _target(targets))
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)):
        inputs = list(inputs[0])
    return Batch(_tensors(tuple(inputs)), _target(targets))


def move(batch: Batch, device: torch.device) -> Batch:
    """The batch on ``device``; the copy to CUDA overlaps with computation where the memory is pinned."""
    overlap = device.type == "cuda"  # towards the CPU the values would be read before they have arrived
    inputs: Inputs
    if isinstance(batch.inputs, Mapping):
        inputs = {name: x.to(device, non_blocking=overlap) for name, x in batch.inputs.items()}
    else:
        inputs = tuple(x.to(device, non_blocking=overlap) for x in batch.inputs)
    return Batch(inputs, batch.targets.to(device, non_blocking=overlap))


def _read_ahead(items: Iterator[object], *, seconds: float) -> tuple[list[object], Exception | None]:
    """One batch, and more while they come quickly; and what ended the reading, which belongs after these batches."""
    read: list[object] = []
    until = time.perf_counter() + seconds
    try:
        while not read or time.perf_counter() < until:
            read.append(_next(items))
    except Exception as error:
        return read, error
    return read, None


def _next(items: Iterator[object]) -> object:
    try:
        return next(items)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _RAGGED):
            raise
        raise DataError(
            "the examples of a batch are of different shapes",
            received=str(error).strip().split("\n")[-1],
            allowed="examples of one shape",
            todo="resize or pad them in the data set, or give the DataLoader a collate_fn that pads "
            "(for sequences also the lengths, as the last input)",
        ) from None
    except TypeError as error:
        if "default_collate" not in str(error):
            raise
        raise DataError(
            "the data set yields something that cannot be put into a batch",
            received=str(error).split("found ")[-1],
            allowed="tensors, arrays or numbers",
            todo="convert in the data set (for images transform=torchvision.transforms.ToTensor()), "
            "or give the DataLoader a collate_fn",
        ) from None


def _set_sampler_epoch(loader: DataLoader[Any], epoch: int) -> Callable[[], None]:
    """Tell the epoch to what asks for it (distributed samplers, some data sets); the result puts the old one back."""
    batch_sampler: Any = getattr(loader, "batch_sampler", None)
    owners = (loader.dataset, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    found: list[Any] = list({id(owner): owner for owner in owners if hasattr(owner, "set_epoch")}.values())
    before = [getattr(owner, "epoch", 0) for owner in found]
    for owner in found:
        owner.set_epoch(epoch)

    def restore() -> None:
        for owner, number in zip(found, before, strict=True):
            owner.set_epoch(number)

    return restore


def _length(thing: object) -> int | None:
    """Its length, or None where it has none."""
    if not isinstance(thing, Sized):
        return None
    try:
        return len(thing)
    except (TypeError, NotImplementedError):  # a DataLoader has __len__ even over a stream without one
        return None


def _tensors(values: Any) -> Any:
    """Inputs as tensors: float64 becomes float32, since models are float32; nothing else changes."""
    if isinstance(values, Mapping):
        return {name: _tensor(value, f"input '{name}'") for name, value in values.items()}
    return tuple(_tensor(value, f"input {number}") for number, value in enumerate(values))


def _tensor(value: object, what: str) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = torch.as_tensor(value)
    if not isinstance(value, Tensor):
        raise DataError(
            f"a batch holds something that is not a tensor: {what}",
            received=type(value).__name__,
            allowed="tensors or numpy arrays of numbers",
            todo="give the DataLoader a collate_fn that makes tensors",
        )
    return value.float() if value.dtype == torch.float64 else value


def _target(value: object) -> Tensor:
    """Targets: whole numbers as int64, as losses want them."""
    target = _tensor(value, "the targets")
    return target if target.is_floating_point() else target.long()


def _structure(received: str) -> DataError:
    return DataError(
        "a batch has an unexpected structure",
        received=received,
        allowed=f"(x, y), (x1, x2, …, y), (mapping, y), or a mapping with one of the keys {', '.join(TARGET_KEYS)}",
        todo="give the DataLoader a collate_fn, or the Dataset a __getitem__, that returns one of these",
    )


def _empty() -> DataError:
    return DataError(
        "there are no examples",
        received="an empty data set or loader",
        allowed="one batch or more",
        todo="check the data set, and drop_last with a batch size larger than the data set",
    )
