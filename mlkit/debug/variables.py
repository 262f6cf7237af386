"""The user's own variables, as they stand while a probe looks: who holds this array, and which line last named it so.

For probes, in a forked child, with the user's frames still on the stack. Not here: what the values mean.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from torch import Tensor, nn

from mlkit.debug.sites import Locator, Site

DEPTH = 3
MOST_NAMES = 400


@dataclass(frozen=True, eq=False)
class Held:
    """An array or tensor that a variable of the user leads to.

    Args:
        name: the variable, ``table`` or ``train_set.x``.
        value: the array.
        file, function: where the variable lives.
    """

    name: str
    value: Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]]
    file: str
    function: str

    def as_tensor(self) -> Tensor:
        """The same numbers as a tensor."""
        return self.value.detach() if isinstance(self.value, Tensor) else torch.from_numpy(self.value)


def frames(locator: Locator) -> list[FrameType]:
    """The user's frames, innermost first."""
    found: list[FrameType] = []
    current: FrameType | None = sys._getframe(1)
    while current is not None:
        if locator.is_user_code(current.f_code):
            found.append(current)
        current = current.f_back
    return found


def arrays(locator: Locator, *, most: int = 64_000_000) -> Iterator[Held]:
    """Every array of numbers that the user's variables lead to, through tuples, lists, dicts and plain objects.

    Args:
        locator: tells the user's frames.
        most: bytes that are looked at in all.
    """
    seen: set[int] = set()
    left = [most]
    scopes: list[tuple[dict[str, object], str, str]] = []
    for frame in frames(locator):
        file = frame.f_code.co_filename
        scopes.append((dict(frame.f_locals), file, frame.f_code.co_name))
        if not any(one is frame.f_globals for one, _, _ in scopes):
            scopes.append((frame.f_globals, file, "<module>"))
    main = vars(sys.modules["__main__"])
    file = str(main.get("__file__", ""))
    is_known = any(one is main for one, _, _ in scopes)
    if file and not is_known and locator.is_user_file(file):  # the program has ended: its names are still there
        scopes.append((main, file, "<module>"))
    for scope, file, function in scopes:
        for name, value in list(scope.items())[:MOST_NAMES]:
            if not name.startswith("__"):
                yield from _within(name, value, (file, function), DEPTH, seen, left)


def _within(
    name: str, value: object, place: tuple[str, str], depth: int, seen: set[int], left: list[int]
) -> Iterator[Held]:
    if left[0] <= 0 or id(value) in seen or isinstance(value, (type, nn.Module, str, bytes, int, float)):
        return
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiub" and value.dtype.isnative and value.ndim:
            left[0] -= value.nbytes
            yield Held(name, value, *place)
        return
    if isinstance(value, Tensor):
        if value.layout == torch.strided and value.dim() and not value.requires_grad:
            left[0] -= value.nbytes
            yield Held(name, value, *place)
        return
    if not depth:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        inside = [(f"{name}[{key!r}]", one) for key, one in list(value.items())[:MOST_NAMES]]
    elif isinstance(value, (list, tuple)):
        inside = [(f"{name}[{number}]", one) for number, one in enumerate(value[: 10 * MOST_NAMES])]
        if inside and isinstance(inside[0][1], (int, float, str)):
            return
    elif _is_library(value) or not hasattr(value, "__dict__"):
        own = vars(value) if hasattr(value, "__dict__") and isinstance(value, torch.utils.data.Dataset) else {}
        inside = [(f"{name}.{key}", one) for key, one in own.items()]
    else:
        inside = [(f"{name}.{key}", one) for key, one in list(vars(value).items())[:MOST_NAMES]]
    for inner, one in inside:
        yield from _within(inner, one, place, depth - 1, seen, left)


def modules(locator: Locator) -> list[nn.Module]:
    """The modules that the user's variables hold, or attributes of plain objects among them."""
    found: dict[int, nn.Module] = {}
    for frame in frames(locator):
        for scope in (frame.f_locals, frame.f_globals):
            for value in list(scope.values())[:MOST_NAMES]:
                is_plain = hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module, Tensor))
                inside = list(vars(value).values())[:MOST_NAMES] if is_plain and not _is_library(value) else ()
                for one in (value, *inside):
                    if isinstance(one, nn.Module):
                        found.setdefault(id(one), one)
    return list(found.values())


def _is_library(value: object) -> bool:
    return type(value).__module__.split(".")[0] in ("builtins", "torch", "numpy", "sys")


# ---------------------------------------------------------------- lines


@lru_cache(maxsize=64)
def tree_of(file: str) -> ast.Module | None:
    """The syntax of a file; None where it cannot be read."""
    try:
        return ast.parse(Path(file).read_text())
    except (OSError, SyntaxError, ValueError):
        return None


def line_of(held: Held) -> Site | None:
    """The line that last gave a variable its value, in the file where it lives; None where none is seen."""
    tree, name = tree_of(held.file), held.name.split(".")[-1].split("[")[0]
    if tree is None:
        return None
    is_attribute = "." in held.name
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt) and _gives(node, name, is_attribute)]
    return Site(held.file, max(found), held.function) if found else None


def _gives(node: ast.stmt, name: str, is_attribute: bool) -> bool:
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    else:
        return False
    parts = [part for target in targets for part in ast.walk(target)]
    if is_attribute:
        return any(isinstance(part, ast.Attribute) and part.attr == name for part in parts)
    return any(isinstance(part, ast.Name) and part.id == name for part in parts)


def names_used(locator: Locator) -> set[str]:
    """Every name and attribute that the user's files read, in lower case."""
    found: set[str] = set()
    for file in {one.f_code.co_filename for one in frames(locator)}:
        tree = tree_of(file)
        for node in ast.walk(tree if tree is not None else ast.Module([], [])):
            if isinstance(node, ast.Name):
                found.add(node.id.lower())
            elif isinstance(node, ast.Attribute):
                found.add(node.attr.lower())
    return found


def attribute_line(locator: Locator, name: str) -> Site | None:
    """The last line of the user's files that gives an attribute of another object a value: ``data.train = False``."""
    for frame in frames(locator):
        tree = tree_of(frame.f_code.co_filename)
        lines = [
            node.lineno
            for node in ast.walk(tree if tree is not None else ast.Module([], []))
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Attribute)
            and target.attr == name
            and not (isinstance(target.value, ast.Name) and target.value.id == "self")
        ]
        if lines:
            return Site(frame.f_code.co_filename, max(lines))
    return None


def loop_around(frame: FrameType) -> Site | None:
    """The ``for`` line of the innermost loop over anything but a plain range that a frame is in; None where none is."""
    tree, line = tree_of(frame.f_code.co_filename), frame.f_lineno
    if tree is None:
        return None
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.For, ast.AsyncFor))
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        and not (
            isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name) and node.iter.func.id == "range"
        )
    ]
    if not around:
        return None
    inner = max(around, key=lambda node: node.lineno)
    return Site(frame.f_code.co_filename, inner.lineno, frame.f_code.co_name)


def alias(locator: Locator, tensor: Tensor) -> Site | None:
    """The last line that gave a tensor, or all of what it is a part of, to a variable of the user."""
    if not tensor.numel():
        return None
    store = tensor.untyped_storage().data_ptr()
    same = [
        one
        for one in arrays(locator)
        if isinstance(one.value, Tensor) and one.value.numel() and one.value.untyped_storage().data_ptr() == store
    ]
    most = max((one.value.numel() for one in same if isinstance(one.value, Tensor)), default=0)
    lines = [line_of(one) for one in same if isinstance(one.value, Tensor) and one.value.numel() == most]
    known = [one for one in lines if one is not None]
    return max(known, key=lambda one: one.line, default=None)
