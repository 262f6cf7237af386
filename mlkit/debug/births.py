"""Where the numbers of the program's own tensors were made: the line behind slices, views, copies and casts of them.

Not here: tensors within a model (`mlkit.debug.origin`).
"""

from __future__ import annotations

import ast

from torch import Tensor

from mlkit.debug.origin import RESHAPING
from mlkit.debug.sites import Site
from mlkit.debug.trace import Trace
from mlkit.debug.variables import tree_of

FROM_NUMPY = frozenset(["from_numpy", "as_tensor", "tensor", "asarray", "Tensor", "FloatTensor", "LongTensor"])
MOST = 50_000


class Births:
    """The line that made each storage, for all tensors that the program made outside of its models."""

    def __init__(self) -> None:
        self._lines: dict[int, tuple[int, Site]] = {}

    def note(self, trace: Trace) -> None:
        """Take in the ops of a segment."""
        if len(self._lines) > MOST:
            return
        for op in trace.ops:
            if op.modules or op.site is None or op.name in ("__set__", "grad"):
                continue
            given = [one for one in op.inputs if not one.is_sparse]
            stores = {_store(one) for one in given}
            for made in op.outputs:
                if made.is_sparse or made.requires_grad or _store(made) in stores:
                    continue
                old = self.of(given[0]) if given and op.name in RESHAPING else None
                self._lines[_store(made)] = (made.untyped_storage().nbytes(), old or _numpy_line(op.name, op.site))

    def converted(self, made: Tensor, site: Site | None) -> None:
        """A tensor was made of an array's memory."""
        if site is not None and len(self._lines) <= MOST:
            self._lines[_store(made)] = (made.untyped_storage().nbytes(), _numpy_line("from_numpy", site))

    def of(self, tensor: Tensor) -> Site | None:
        """The line that made the numbers of a tensor, where it was seen."""
        size, site = self._lines.get(_store(tensor), (-1, None))
        return site if size == tensor.untyped_storage().nbytes() else None


def _store(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _numpy_line(name: str, site: Site) -> Site:
    """For a conversion of an array: the line that last gave that array its value, in the same function."""
    if name not in FROM_NUMPY:
        return site
    tree = tree_of(site.file)
    around = [
        node
        for node in ast.walk(tree if tree is not None else ast.Module([], []))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.lineno <= site.line <= (node.end_lineno or 0)
    ]
    scope: ast.AST | None = max(around, key=lambda node: node.lineno) if around else tree
    if scope is None:
        return site
    calls = [
        node
        for node in ast.walk(scope)
        if isinstance(node, ast.Call)
        and node.lineno <= site.line <= (node.end_lineno or node.lineno)
        and _called(node.func) == name
        and node.args
    ]
    if len(calls) != 1:
        return site
    names = [part.id for part in ast.walk(calls[0].args[0]) if isinstance(part, ast.Name)]
    lines = [
        node.lineno
        for node in ast.walk(scope)
        if isinstance(node, (ast.Assign, ast.AugAssign))
        and node.lineno < site.line
        and any(
            isinstance(part, ast.Name) and part.id in names
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            for part in ast.walk(target)
        )
    ]
    return Site(site.file, max(lines), site.function) if lines else site


def _called(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
