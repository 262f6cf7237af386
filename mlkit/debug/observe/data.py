"""Where data sets, subsets and splits are made, what was replaced on them, and which examples are trained on.

Seams: `Dataset.__setattr__`, and scikit-learn's splits and scalers where the program imports them.
Not here: reading the examples (`mlkit.debug.examples`, in a child), and any judgement.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset

from mlkit.debug.births import Births
from mlkit.debug.examples import Examples, locate
from mlkit.debug.observe.patches import Patches
from mlkit.debug.sites import Site
from mlkit.debug.variables import attribute_line

if TYPE_CHECKING:
    from mlkit.debug.scene import Scene
    from mlkit.debug.session import Session

SCALERS = ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "PowerTransformer", "QuantileTransformer")
LIMIT = 64


@dataclass(frozen=True)
class Replaced:
    """An attribute of a data set that could be called, and was replaced.

    Args:
        owner: the data set.
        name: of the attribute.
        before, after: its values.
        site: the user's line.
    """

    owner: weakref.ref[Any]
    name: str
    before: Any
    after: Any
    site: Site | None


@dataclass(frozen=True)
class Fit:
    """A scaler of scikit-learn was fitted: its class, on how many rows, where."""

    kind: str
    rows: int
    site: Site | None


class DataWatch:
    """The data of a program: what training and evaluation read, and where it was put together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: dict[int, tuple[weakref.ref[Any], Site | None, tuple[Site, ...]]] = {}
        self._finder: _Finder | None = None
        self._plain: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.replaced: list[Replaced] = []
        self.splits: list[tuple[tuple[int, ...], Site | None]] = []
        """(rows of the parts, line) of every `train_test_split`."""
        self.fits: list[Fit] = []
        self.training: Examples | None = None
        """What the first training step reads; None before it, or where it was not found."""
        self.births = Births()
        self.is_readable = False
        """Whether all of it can be read, item by item."""

    # ---------------------------------------------------------------- on and off

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        patches.around(Dataset, "__setattr__", self._around_setattr)
        patches.around(torch, "from_numpy", self._around_from_numpy)
        wanted: dict[str, Callable[[ModuleType], None]] = {
            "sklearn.model_selection": lambda module: self._watch_splits(module, patches),
            "sklearn.preprocessing": lambda module: self._watch_scalers(module, patches),
        }
        for name in list(wanted):
            if name in sys.modules:
                wanted.pop(name)(sys.modules[name])
        if wanted:
            self._finder = _Finder(wanted)
            sys.meta_path.insert(0, self._finder)

    def stop(self) -> None:
        if self._finder is not None and self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self.training, self.replaced = None, []  # what was kept of the program's data is let go
        self._session.loaders.batches.clear()

    # ---------------------------------------------------------------- seams

    def _around_setattr(self, original: Any) -> Any:
        def call(data: Any, name: str, value: Any) -> None:
            if self._session.is_recording:
                self._note_attribute(data, name, value, sys._getframe(1))
            original(data, name, value)

        return call

    def _around_from_numpy(self, original: Any) -> Any:
        def call(array: Any) -> Any:
            made = original(array)
            if self._session.is_tracing:  # torch's function modes do not see this one
                self.births.converted(made, self._session.locator.here(sys._getframe(1)))
            return made

        return call

    def _note_attribute(self, data: Any, name: str, value: Any, frame: Any) -> None:
        known = self._made.get(id(data))
        if known is None or known[0]() is not data:
            self._remember(data, self._session.locator.maker(frame, data), self._session.locator.stack(frame, limit=6))
        with contextlib.suppress(Exception):  # an object of the user's may answer anything
            if hasattr(value, "__getitem__") and not isinstance(value, (Dataset, torch.Tensor)):
                self.know(value)
        before = data.__dict__.get(name) if hasattr(data, "__dict__") else None
        if _is_switch(before) and before is not value and len(self.replaced) < LIMIT:
            site = self._session.locator.here(frame)
            self.replaced.append(Replaced(weakref.ref(data), name, before, value, site))

    def know(self, data: object) -> None:
        """An object that is no `Dataset` of torch's serves as one: remember its switches, since no seam tells."""
        if not isinstance(data, Dataset) and type(data).__module__ != "builtins" and hasattr(data, "__dict__"):
            switches = {name: value for name, value in vars(data).items() if _is_switch(value)}
            self._plain.setdefault(id(data), (data, switches))

    def _compare(self) -> None:
        """Which switches of such objects are others now."""
        for data, switches in self._plain.values():
            for name, before in switches.items():
                after = vars(data).get(name)
                if after is not before and len(self.replaced) < LIMIT:
                    with contextlib.suppress(TypeError):
                        site = attribute_line(self._session.locator, name)
                        self.replaced.append(Replaced(weakref.ref(data), name, before, after, site))
        self._plain = {}

    def _remember(self, data: Any, site: Site | None, stack: tuple[Site, ...]) -> None:
        if len(self._made) > 10_000:
            self._made = {number: known for number, known in self._made.items() if known[0]() is not None}
        try:
            self._made[id(data)] = (weakref.ref(data), site, stack)
        except TypeError:
            return

    def _watch_splits(self, module: ModuleType, patches: Patches) -> None:
        patches.around(module, "train_test_split", self._around_split)

    def _around_split(self, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            parts = original(*args, **kwargs)
            if self._session.is_recording and len(self.splits) < LIMIT:
                site = self._session.locator.here(sys._getframe(1))
                self.splits.append((tuple(len(part) for part in parts[:2]), site))
            return parts

        return call

    def _watch_scalers(self, module: ModuleType, patches: Patches) -> None:
        for name in SCALERS:
            if hasattr(module, name):
                patches.around(getattr(module, name), "fit", self._around_fit)

    def _around_fit(self, original: Any) -> Any:
        def call(scaler: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
            if self._session.is_recording and len(self.fits) < LIMIT and hasattr(values, "__len__"):
                site = self._session.locator.here(sys._getframe(1))
                self.fits.append(Fit(type(scaler).__name__, len(values), site))
            return original(scaler, values, *args, **kwargs)

        return call

    # ---------------------------------------------------------------- what is known

    def made_at(self, data: object) -> Site | None:
        """The user's line that made a data set, where it is known."""
        known = self._made.get(id(data))
        return known[1] if known is not None and known[0]() is data else None

    def made_apart(self, data: object, other: object) -> Site | None:
        """The user's line that made a data set; where a helper's line made another one too, the line that called it."""
        site, rival = self.made_at(data), self.made_at(other)
        if site is None or site != rival:
            return site
        stack, others = self._made[id(data)][2], self._made[id(other)][2]
        return next((one for one in stack if one not in others), site)

    def look(self, scene: Scene) -> None:
        """At the first step of training, in the program itself: which examples are trained on."""
        self.births.note(scene.trace)
        if self.training is None:
            self._compare()
            self.training = found = locate(scene, is_training=True)
            self.is_readable = found is not None and not found.is_batch and found.size > 0

    def is_training_data(self, scene: Scene) -> bool:
        """Whether an evaluation was on what is trained on."""
        other = locate(scene, is_training=False)
        return self.training is not None and other is not None and self.training.is_same(other)


def _is_switch(value: object) -> bool:
    return callable(value) or isinstance(value, bool)


class _Finder(importlib.abc.MetaPathFinder):
    """Tells when modules are imported that are not there yet; finds them as they would be found without it."""

    def __init__(self, wanted: dict[str, Callable[[ModuleType], None]]) -> None:
        self._wanted = wanted

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._wanted:
            return None
        tell = self._wanted.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, tell)
        return spec


class _Loader(importlib.abc.Loader):
    """A module's own loader, and a word when it is done."""

    def __init__(self, loader: Any, tell: Callable[[ModuleType], None]) -> None:
        self._loader, self._tell = loader, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # resources, source text: whatever else is asked of a loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._tell(module)
