"""Batches from a user's own `DataLoader` or `Dataset`, in an order that is a pure function of (seed, epoch).

Not here: tensors and arrays that fit in memory (`mlkit.data.adapt`), which need no loader.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sized
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mlkit.data.batches import Augment
from mlkit.data.splits import Batch, Inputs
from mlkit.errors import DataError
from mlkit.runtime.keys import derive_seed

TARGET_KEYS = ("label", "labels", "target", "targets", "y")
_END = object()


class LoaderBatches:
    """The batches of a user's `DataLoader`, moved to a device; the loader itself is used as it is.

    While the loader works, it sees random generators of its own (torch on the CPU, numpy, random, and those that the
    loader or its sampler carries), seeded by (seed, epoch); afterwards all of them are as they were. So an epoch's
    batches are the same in every process, whatever ran before, and worker processes get keyed seeds too (a
    ``worker_init_fn`` of the user stays in force). With ``persistent_workers`` the workers' own randomness runs on from
    epoch to epoch, which no key can reach: what they draw is then not repeatable after a resume; the order is.

    Args:
        loader: over a map-style or iterable data set; its batches are ``(x, y)``, ``(x1, x2, …, y)``, ``(mapping, y)``
            or a mapping with one of the keys label, labels, target, targets, y.
        seed: root of the order.
        device: where batches are moved to.
        augment: changes a batch at random, on the device; keyed by (seed, epoch, batch).

    Raises:
        DataError: the loader is empty, or a batch has another structure.

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
        if _length(loader) == 0:
            raise _empty()

    def __len__(self) -> int:
        """Batches in an epoch; a stream that does not know its length is read through once to find out."""
        length = _length(self.loader)
        return self._count()[0] if length is None else length

    @property
    def num_examples(self) -> int:
        """Examples in an epoch; counted in the same way where the loader does not know."""
        if isinstance(self.loader.dataset, IterableDataset) or self.loader.batch_size is None:
            return self._count()[1]
        examples = _length(self.loader.sampler)
        if examples is None:
            return self._count()[1]
        return len(self) * self.loader.batch_size if self.loader.drop_last else examples

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from batch ``start`` on; earlier ones are read and dropped, so that streams stay in step."""
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
        randomness = _PrivateRandomness(derive_seed(self.seed, "loader", epoch), _generators(self.loader))
        restore = _set_sampler_epoch(self.loader, epoch)
        number = 0
        try:
            with randomness:
                items = iter(self.loader)
            while True:
                with randomness:
                    item = _next(items)
                if item is _END:
                    break
                number += 1
                yield item
        finally:
            restore()
        if number == 0:
            raise _empty()

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
    iterable = isinstance(dataset, IterableDataset)
    if not iterable and not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise DataError(
            "this is not a data set",
            received=type(dataset).__name__,
            allowed="an object with __len__ and __getitem__, or a torch.utils.data.IterableDataset",
            todo="give tensors (x, y), a Dataset or a DataLoader",
        )
    if not iterable and _length(dataset) == 0:
        raise _empty()
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle and not iterable,
        num_workers=workers,
        pin_memory=torch.device(device).type == "cuda",
    )
    return LoaderBatches(loader, seed=seed, device=device, augment=augment)


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
    """The batch on ``device``; the copy overlaps with computation where the memory is pinned."""
    inputs: Inputs
    if isinstance(batch.inputs, Mapping):
        inputs = {name: x.to(device, non_blocking=True) for name, x in batch.inputs.items()}
    else:
        inputs = tuple(x.to(device, non_blocking=True) for x in batch.inputs)
    return Batch(inputs, batch.targets.to(device, non_blocking=True))


class _PrivateRandomness:
    """Random generators as the loader sees them: keyed on first entry, continued on later ones, put back on exit."""

    def __init__(self, key: int, generators: list[torch.Generator]) -> None:
        self._key = key
        self._generators = [torch.default_generator, *generators]
        self._inside: tuple[Any, ...] | None = None
        self._outside: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        self._outside = self._capture()
        if self._inside is not None:
            self._restore(self._inside)
            return
        for number, generator in enumerate(self._generators):
            generator.manual_seed(derive_seed(self._key, number))
        random.seed(derive_seed(self._key, "random"))
        np.random.seed(derive_seed(self._key, "numpy") & 0xFFFFFFFF)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = self._capture()
        self._restore(self._outside)

    def _capture(self) -> tuple[Any, ...]:
        return [generator.get_state() for generator in self._generators], random.getstate(), np.random.get_state()

    def _restore(self, states: tuple[Any, ...]) -> None:
        for generator, state in zip(self._generators, states[0], strict=True):
            generator.set_state(state)
        random.setstate(states[1])
        np.random.set_state(states[2])


def _next(items: Iterator[object]) -> object:
    try:
        return next(items, _END)
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


def _generators(loader: DataLoader[Any]) -> list[torch.Generator]:
    """The generators that the loader and its samplers carry, each once."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def _set_sampler_epoch(loader: DataLoader[Any], epoch: int) -> Callable[[], None]:
    """Tell a distributed sampler the epoch; the returned function puts the old one back."""
    sampler = getattr(loader, "sampler", None)
    if not hasattr(sampler, "set_epoch"):
        return lambda: None
    before = getattr(sampler, "epoch", 0)
    sampler.set_epoch(epoch)
    return lambda: sampler.set_epoch(before)


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
