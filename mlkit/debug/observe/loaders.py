"""DataLoaders: where they are made, over what, and which batch came from which.

Seams: `DataLoader.__init__`, `__iter__`, and the iterators' ``__next__``.
Not here: reading of the data sets (probes do that in a child).
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader
from torch.utils.data import dataloader as seams

from mlkit.debug import experiment
from mlkit.debug.facts import LoaderFacts
from mlkit.debug.observe.patches import Patches
from mlkit.debug.sites import Site

if TYPE_CHECKING:
    from mlkit.debug.session import Session

_SHUFFLES = {
    "SequentialSampler": False,
    "RandomSampler": True,
    "SubsetRandomSampler": True,
    "WeightedRandomSampler": True,
}


class LoaderWatch:
    """All DataLoaders of a program; in a forked child they are read in-process instead of from workers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._iterators: dict[int, tuple[Any, int]] = {}
        self._data_sets: dict[int, tuple[Any, int]] = {}
        self._in_process: dict[int, _InProcess] = {}
        self.last: int | None = None
        """Key of the loader that gave the last batch."""
        self._read: deque[Any] = deque(maxlen=4)  # their iterators do not keep them alive
        self.batches: deque[tuple[int | None, object]] = deque(maxlen=2)
        """The last two batches, each with the key of its loader."""

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        patches.around(DataLoader, "__init__", self._around_init)
        patches.around(DataLoader, "__iter__", self._around_iter)
        patches.around(seams._BaseDataLoaderIter, "__next__", self._around_next)

    def live(self, key: int) -> Any:
        """A live DataLoader by its key, or None."""
        return next((reference() for reference, number in self._known.values() if number == key), None)

    def key(self, loader: Any, site: Site | None = None) -> int:
        """Its number; given when it is first seen."""
        known = self._known.get(id(loader))
        if known is not None and known[0]() is loader:
            return known[1]
        loaders = self._session.facts.loaders
        key = len(loaders)
        self._known[id(loader)] = (weakref.ref(loader), key)
        data, kind = loader.dataset, type(loader.sampler).__name__
        if id(data) not in self._data_sets:
            self._data_sets[id(data)] = (data, len(self._data_sets))
        length = None
        with contextlib.suppress(Exception):
            length = len(data)
        loaders[key] = LoaderFacts(
            key=key,
            site=site,
            batch_size=loader.batch_size,
            sampler=kind,
            shuffles=_SHUFFLES.get(kind) if loader.batch_size is not None else None,
            length=length,
            dataset=type(data).__name__,
            dataset_key=self._data_sets[id(data)][1],
            workers=loader.num_workers,
        )
        return key

    def _around_init(self, original: Any) -> Any:
        def call(loader: Any, *args: Any, **kwargs: Any) -> None:
            original(loader, *args, **kwargs)
            if self._session.is_recording:
                site = self._session.locator.here(sys._getframe(1))
                stack = self._session.locator.stack(sys._getframe(1))
                with self._session.quietly():
                    self._session.data.know(loader.dataset)
                    self._session.facts.loaders[self.key(loader, site)].stack = stack

        return call

    def _around_iter(self, original: Any) -> Any:
        def call(loader: Any) -> Any:
            if experiment.is_child() and loader.num_workers > 0:
                return _InProcess(loader)
            iterator = original(loader)
            if self._session.is_recording:
                with self._session.quietly():
                    self._pass_began(loader, iterator)
            return iterator

        return call

    def _pass_began(self, loader: Any, iterator: Any) -> None:
        key = self.key(loader)
        if not any(one is loader for one in self._read):
            self._read.append(loader)
        facts = self._session.facts.loaders[key]
        if len(facts.passes) < 200:
            facts.passes.append(self._session.step)
        self._iterators[id(iterator)] = (iterator, key)
        if len(self._iterators) > 64:
            self._iterators.pop(next(iter(self._iterators)))
        if facts.role != "train":
            self._session.evaluation_may_begin()

    def _around_next(self, original: Any) -> Any:
        def call(iterator: Any) -> Any:
            if experiment.is_child() and isinstance(iterator, seams._MultiProcessingDataLoaderIter):
                batch = next(self._without_workers(iterator))
            else:
                batch = original(iterator)
            session = self._session
            if session.is_recording:
                known = self._iterators.get(id(iterator))
                self.last = known[1] if known is not None else None
                self.batches.append((self.last, batch))
                if session.trial is not None:
                    return session.trial.batch(batch)
            return batch

        return call

    def _without_workers(self, iterator: Any) -> _InProcess:
        """In a child: batches for an iterator whose workers belong to the parent."""
        if id(iterator) not in self._in_process:
            known = self._iterators.get(id(iterator))
            loader = self.live(known[1]) if known else None
            if loader is None:
                raise StopIteration
            self._in_process[id(iterator)] = _InProcess(loader)
        return self._in_process[id(iterator)]


class _InProcess:
    """Batches of a loader with workers, read without them: a child must not take from its parent's queues."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        create: Any = seams._DatasetKind.create_fetcher
        self._fetcher = create(
            loader._dataset_kind, loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last
        )
        self._indices = iter(loader._index_sampler)

    def __iter__(self) -> _InProcess:
        return self

    def __next__(self) -> Any:
        return self._fetcher.fetch(next(self._indices))

    def __len__(self) -> int:
        return len(self._loader)
