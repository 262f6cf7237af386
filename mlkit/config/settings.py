"""A setting: its name, type, default, range and one line of help, read from a dataclass; and the check of one value.

Not here: which settings there are (`mlkit.config.schema`, `mlkit.config.choices`) and rules on several of them
(`mlkit.config.rules`). Nothing here imports torch or Hydra, so that help is printed at once.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mlkit.errors import Problem, did_you_mean

_INTERVAL = re.compile(r"([\[(])\s*([-\w.]+)\s*,\s*([-\w.]+)\s*([\])])")
_BOUND = re.compile(r"(>=|>)\s*([-\w.]+)")
_MISTAKEN_BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}


def setting(default: Any, help: str, *, within: str | None = None, example: str | None = None) -> Any:  # noqa: A002
    """A dataclass field that describes itself.

    Args:
        default: the value when nothing is said; a list is copied for each instance.
        help: one line for people, without a full stop.
        within: range of a number, or of each number of a list: ``"> 0"``, ``">= 1"`` or ``"[0, 1)"``.
        example: a value that could be given, where the default is not one.
    """
    metadata = {"help": help, "within": within, "example": example}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One setting as help and checks see it."""

    name: str
    type: Any
    default: Any
    help: str = ""
    within: str | None = None
    example: str | None = None

    @property
    def shown_default(self) -> str:
        """The default as one would write it on a command line."""
        return shown(self.default)

    @property
    def allowed(self) -> str:
        """What is accepted, in words."""
        return describe(self.type, self.within)


@cache
def settings_of(kind: type) -> dict[str, Setting]:
    """The settings of a dataclass by name, in the order in which they were written."""
    hints = get_type_hints(kind)
    found = {}
    for entry in dataclasses.fields(kind):
        if entry.name in getattr(kind, "without", ()):
            continue
        default = entry.default if entry.default is not dataclasses.MISSING else None
        if entry.default_factory is not dataclasses.MISSING:
            default = entry.default_factory()
        meta = entry.metadata
        found[entry.name] = Setting(
            entry.name, hints[entry.name], default, meta.get("help", ""), meta.get("within"), meta.get("example")
        )
    return found


def shown(value: object) -> str:
    """``value`` as it is written in YAML and on a command line.

    >>> shown(None), shown(True), shown(3e-4), shown((0.9, 0.999)), shown("adam")
    ('null', 'true', '0.0003', '[0.9, 0.999]', 'adam')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(shown(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def describe(kind: Any, within: str | None = None) -> str:
    """A type in words, with its range.

    >>> describe(float | None, "> 0"), describe(Literal["adam", "sgd"]), describe(list[int])
    ('a number > 0, or null', 'adam or sgd', 'a list of whole numbers')
    """
    members = [member for member in _members(kind) if member is not type(None)]
    words = _joined([_describe_one(member, within) for member in members])
    return f"{words}, or null" if len(members) < len(_members(kind)) else words


def _describe_one(kind: Any, within: str | None) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _joined([shown(choice) for choice in arguments])
    if origin in (list, tuple, Sequence) or kind in (list, tuple) or _is_sequence(origin):
        if origin is tuple and Ellipsis not in arguments:
            return f"a list of {len(arguments)} {_plural(arguments[0], within)}"
        return f"a list of {_plural(arguments[0], within)}" if arguments else "a list"
    span = "" if within is None else f" {within}" if within[0] == ">" else f" in {within}"
    names = {
        bool: "true or false",
        int: f"a whole number{span}",
        float: f"a number{span}",
        str: "text",
        dict: "a mapping",
    }
    return names.get(origin or kind, "any value")


def _plural(kind: Any, within: str | None) -> str:
    span = "" if within is None else f" {within}" if within[0] == ">" else f" in {within}"
    names = {int: f"whole numbers{span}", float: f"numbers{span}", str: "texts"}
    return names.get(kind, "values") if get_origin(kind) is not Literal else f"values of {_describe_one(kind, None)}"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is_sequence(origin: Any) -> bool:
    return getattr(origin, "__name__", "") == "Sequence"


class RefusedError(Exception):
    """A value is not what a setting takes; carries a hint, or nothing."""


def convert(value: object, setting: Setting) -> Any:
    """``value`` as the setting's type: whole numbers become floats where floats are meant, lists become tuples.

    Raises:
        RefusedError: it is of another type or out of range.
    """
    members = _members(setting.type)
    if value is None:
        if type(None) in members or object in members or Any in members:
            return None
        raise RefusedError("")
    hint = ""
    for member in sorted(members, key=_preference):
        try:
            converted = _convert_one(value, member)
        except RefusedError as refused:
            hint = hint or str(refused)
            continue
        if setting.within is not None and not all(inside(number, setting.within) for number in _numbers(converted)):
            raise RefusedError("")
        return converted
    raise RefusedError(hint)


def _preference(kind: Any) -> int:
    """Text last: it takes numbers too, which should stay numbers where a number is meant."""
    return [bool, int, float, str].index(kind) if kind in (bool, int, float, str) else -1


def _convert_one(value: object, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (object, Any):
        return value
    if origin is Literal:
        return _choice(value, arguments)
    if origin in (list, tuple) or kind in (list, tuple) or _is_sequence(origin):
        return _sequence(value, origin or kind, arguments)
    scalars: dict[Any, Callable[[object], Any]] = {bool: _boolean, int: _whole, float: _number, str: _text}
    if kind in scalars:
        return scalars[kind](value)
    if (origin or kind) is dict and isinstance(value, dict):
        return dict(value)
    raise RefusedError("")


def _choice(value: object, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if value == choice and isinstance(value, bool) == isinstance(choice, bool):
            return choice
    # YAML reads a bare `off` as false, so that a choice of that name would never be found.
    if isinstance(value, bool) and not value and "off" in choices:
        return "off"
    raise RefusedError(did_you_mean(str(value), [str(choice) for choice in choices]) or "")


def _sequence(value: object, kind: Any, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(value, (list, tuple)):
        raise RefusedError("write it as a list: [a, b]")
    if kind is tuple and arguments and Ellipsis not in arguments and len(arguments) != len(value):
        raise RefusedError("")
    item = arguments[0] if arguments else object
    items = [convert(entry, Setting("item", item, None)) for entry in value]
    return items if kind is list else tuple(items)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise RefusedError("write true or false" if str(value).lower() in _MISTAKEN_BOOLEANS or value in (0, 1) else "")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 1e3 is a whole number to people
    if isinstance(value, str) and _is_number(value):
        raise RefusedError("leave the quotes out")
    raise RefusedError("")


def _number(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    if isinstance(value, str) and "," in value and _is_number(value.replace(",", ".")):
        raise RefusedError(f"write the decimal point as a dot: {value.replace(',', '.')}")
    raise RefusedError("")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return shown(value)  # a name such as 2024
    raise RefusedError("")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(value: object) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in _numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def inside(number: float, within: str) -> bool:
    """Whether ``number`` lies in a range written as for `setting`.

    >>> inside(0.0, "> 0"), inside(1.0, "[0, 1)"), inside(0.5, "[0, 1)")
    (False, False, True)
    """
    bound = _BOUND.fullmatch(within)
    if bound is not None:
        low = float(bound.group(2))
        return math.isfinite(number) and (number >= low if bound.group(1) == ">=" else number > low)
    interval = _INTERVAL.fullmatch(within)
    if interval is None:
        raise ValueError(f"not a range: {within!r}")
    left, low, high, right = interval.group(1), float(interval.group(2)), float(interval.group(3)), interval.group(4)
    above = number >= low if left == "[" else number > low
    return above and (number <= high if right == "]" else number < high)


def problem(path: str, value: object, setting: Setting, hint: str) -> Problem:
    """The mistake of ``value`` for the setting at ``path``, with what would be right."""
    suggestion = setting.example or ("" if setting.default is None else setting.shown_default)
    todo = hint or (f"for example {path}={suggestion}" if suggestion else f"leave out {path}")
    return Problem(f"{path} cannot have this value", received=_received(value), allowed=setting.allowed, todo=todo)


def _received(value: object) -> str:
    return repr(value) if isinstance(value, str) else shown(value)
