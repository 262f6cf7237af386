"""Tables from a name to a factory: models, data sets, optimisers and so on, open to the user's own entries.

Not here: building anything from a config (that is `mlkit.config`), nor importing a name that was read from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar, overload

from mlkit.errors import ConfigError, did_you_mean

Factory = Callable[..., Any]
F = TypeVar("F", bound=Factory)
Kind = Literal["model", "data"]


class Registry:
    """Factories of one kind by name; ours are given as ``module:attribute`` and imported when first asked for.

    Args:
        kind: what the factories make, as it stands in messages and in the entry-point group ``mlkit.<kind>``.
        builtin: name to ``"module:attribute"``, written in our own source, never read from a file.
    """

    def __init__(self, kind: Kind, builtin: dict[str, str]) -> None:
        self.kind = kind
        self._builtin = builtin
        self._added: dict[str, Factory] = {}

    def add(self, name: str, factory: Factory) -> None:
        """Add ``factory`` under ``name``; a second one under the same name replaces it (notebooks re-run cells).

        Raises:
            ConfigError: the name is one of mlkit's own, or is not an identifier.
        """
        if name in self._builtin:
            raise ConfigError(
                f"the {self.kind} name is taken by mlkit",
                received=repr(name),
                allowed="a name that mlkit does not use",
                todo=f"register it under another name, such as 'my_{name}'",
            )
        if not name.isidentifier():
            raise ConfigError(
                f"not a usable {self.kind} name", received=repr(name), allowed="letters, digits and underscores"
            )
        self._added[name] = factory

    def get(self, name: str) -> Factory:
        """The factory registered under ``name``.

        Raises:
            ConfigError: there is none; the message lists all names and the closest one.
        """
        if name in self._added:
            return self._added[name]
        if name in self._builtin:
            module, attribute = self._builtin[name].split(":")
            factory: Factory = getattr(import_module(module), attribute)
            return factory
        for entry in entry_points(group=f"mlkit.{self.kind}"):
            if entry.name == name:
                self._added[name] = entry.load()
                return self._added[name]
        names = list(self)
        raise ConfigError(
            f"unknown {self.kind}",
            received=repr(name),
            allowed=", ".join(names),
            todo=did_you_mean(name, names)
            or f"choose one of these, or add your own with @mlkit.register(kind='{self.kind}')",
        )

    def added(self) -> tuple[str, ...]:
        """Names that are not mlkit's own: registered by the user or offered by an installed package."""
        offered = {entry.name for entry in entry_points(group=f"mlkit.{self.kind}")}
        return tuple(sorted(offered | set(self._added)))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._builtin, *self.added()}))

    def __contains__(self, name: object) -> bool:
        return name in set(self)


MODELS = Registry(
    "model",
    {
        "mlp": "mlkit.models.mlp:mlp",
        "lenet": "mlkit.models.lenet:lenet",
        "lstm": "mlkit.models.lstm:lstm",
        **{f"resnet{depth}": f"mlkit.models.resnet:resnet{depth}" for depth in (18, 20, 32, 34, 44, 50, 56, 110)},
    },
)
DATA = Registry(
    "data",
    {
        **{name: f"mlkit.data.bundled:{name}" for name in ("digits", "breast_cancer", "wine", "diabetes", "iris")},
        **{
            name: f"mlkit.data.images:{name}"
            for name in ("mnist", "fashion_mnist", "cifar10", "cifar10_jpeg", "usps", "mnist_to_usps")
        },
        "image_folder": "mlkit.data.folder:image_folder",
        **{name: f"mlkit.data.synthetic:{name}" for name in ("blobs", "spirals", "bars", "adding", "copy")},
        **{
            name: f"mlkit.data.tables:{name}"
            for name in ("csv", "adult", "california_housing", "wine_quality", "protein")
        },
        **{
            name: f"mlkit.data.series:{name}"
            for name in ("japanese_vowels", "basic_motions", "gun_point", "italy_power_demand", "arrow_head")
        },
        **{
            name: f"mlkit.data.forecasting:{name}"
            for name in ("etth1", "air_passengers", "daily_temperatures", "sunspots", "forecast_csv")
        },
        **{name: f"mlkit.data.text:{name}" for name in ("tiny_shakespeare", "names", "text_file")},
    },
)
TABLES: dict[Kind, Registry] = {"model": MODELS, "data": DATA}


@overload
def register(factory: F, /) -> F: ...
@overload
def register(name: str | None = None, /, *, kind: Kind = "model") -> Callable[[F], F]: ...
def register(name: F | str | None = None, /, *, kind: Kind = "model") -> F | Callable[[F], F]:
    """Make the user's own factory selectable by name, as ``model=NAME`` or ``data=NAME``.

    Args:
        name: the name to register under; the function's or class's own name when left out.
        kind: ``"model"`` or ``"data"``.

    Raises:
        ConfigError: the name belongs to mlkit, or ``kind`` is unknown.

    >>> @register
    ... def tiny(num_outputs: int, in_features: int, *, width: int = 8):
    ...     '''A model factory: arguments that describe the data are filled in by name, the others become settings.'''
    >>> MODELS.get("tiny") is tiny
    True
    """
    if kind not in TABLES:
        raise ConfigError("unknown kind of registration", received=repr(kind), allowed=", ".join(TABLES))
    if callable(name):
        TABLES[kind].add(name.__name__, name)
        return name

    def decorate(factory: F) -> F:
        TABLES[kind].add(name if isinstance(name, str) else factory.__name__, factory)
        return factory

    return decorate
