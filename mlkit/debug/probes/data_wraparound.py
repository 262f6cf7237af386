"""Arithmetic on unsigned integers that wrapped around on the way to the network; batches changed in place.

Torch ops are computed again with wide integers. NumPy arrays that a data set holds are watched while an item is read.
What NumPy did before is seen by what it left; then the program's preparation is run again, line by line, to find where.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlkit.debug.examples import Examples, upstream
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.probes.data_values import site_of_inputs
from mlkit.debug.reading import held, owners
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Locator, Site
from mlkit.debug.trace import Op
from mlkit.debug.variables import names_used

WRAPS = frozenset(["add", "sub", "mul", "neg", "pow", "square", "sum", "cumsum"])
UNSIGNED = (torch.uint8, torch.uint16, torch.uint32)
MINDING = ("recall", "precision", "balanced", "f1", "auc", "auroc", "matthews", "kappa", "confusion", "pos_weight")
"""Parts of the names of scores that a rare class counts in."""
UFUNCS = (np.subtract, np.add, np.multiply, np.negative, np.power, np.square)


@probe("data-wraparound", seconds=8.0)
def data_wraparound(scene: Scene) -> Measurement:
    """The first op whose result is not what wide integers give, and its line."""
    examples = scene.session.data.training
    roots = list(scene.inputs)
    if examples is not None:
        roots += examples.inputs
        if examples.loader is not None:
            roots += [one for one in held(examples.dataset) if isinstance(one, Tensor)]
    for op in scene.trace.behind(roots):
        found = _wrong(op)
        if found:
            return found
    if examples is None:
        return {}
    if examples.loader is not None and examples.size:
        found = _watched(scene, examples)
        if found:
            return found
    if not _looks_wrapped(examples):
        return {}
    guessed = {"is_proven": False, "op": "?", "share": 0.0, "dtype": "uint8", "site": site_of_inputs(scene, examples)}
    return _run_again(scene) or guessed


@probe("data-written")
def data_written(scene: Scene) -> Measurement:
    """An in-place op on a batch that is a view of the whole set."""
    examples, size = scene.session.data.training, scene.batch_size
    if examples is None or examples.loader is not None or size is None or not examples.inputs:
        return {}
    whole = {one.untyped_storage().data_ptr(): one for one in examples.inputs}
    way = upstream(scene.trace, scene.inputs)
    for op in scene.trace.ops:
        target = op.args[0] if op.args else None
        if not op.is_in_place or not isinstance(target, Tensor) or id(target) not in way or not target.dim():
            continue
        source = whole.get(target.untyped_storage().data_ptr())
        if source is not None and target.shape[0] == size and source.shape[0] >= 2 * size and source is not target:
            return {"op": op.name, "site": op.site, "rows": target.shape[0], "of": source.shape[0]}
    return {}


@probe("data-decisions", scenes=("eval", "validation"))
def data_decisions(scene: Scene) -> Measurement:
    """Whether outputs are turned into classes after the evaluation, and how many are the most frequent one."""
    outputs = [one for one in scene.outputs if one.is_floating_point() and one.dim() >= 1]
    if not outputs:
        return {}
    output = outputs[0].detach()
    hard = ("argmax", "max", "topk", "gt", "ge", "lt", "le", "__gt__", "__ge__", "__lt__", "__le__", "round", "sign")
    names = [op.name for op in scene.trace.after(outputs) if op.index >= (scene.call.stop if scene.call else 0)]
    if output.dim() == 2 and output.shape[1] > 1:
        classes = output.argmax(1)
    elif output.numel() == output.shape[0]:
        values = output.reshape(-1)
        classes = (values > (0.5 if bool(((values >= 0) & (values <= 1)).all()) else 0.0)).long()
    else:
        return {}
    counts = torch.bincount(classes)
    used = names_used(scene.session.locator)
    return {
        "is_hard": any(name in hard for name in names),
        "largest_share": float(counts.max()) / len(classes),
        "minds_classes": any(word in name for name in used for word in MINDING),
    }


# ---------------------------------------------------------------- torch


def _wrong(op: Op) -> Measurement:
    name, output = op.name.strip("_").removeprefix("r"), op.output
    if name not in WRAPS or op.is_in_place or not isinstance(output, Tensor) or output.dtype not in UNSIGNED:
        return {}
    wide = [one.long() if isinstance(one, Tensor) else one for one in op.args]
    kwargs = {key: value for key, value in op.kwargs.items() if key not in ("dtype", "out")}
    with torch.no_grad():
        right = op.function(*wide, **kwargs)
    assert isinstance(right, Tensor)
    share = float((right != output.long()).float().mean())
    return {"is_proven": True, "op": name, "share": share, "dtype": str(output.dtype), "site": op.site} if share else {}


# ---------------------------------------------------------------- NumPy, while an item is read


class _Watched(np.ndarray[Any, Any]):
    """An array of unsigned integers that tells when arithmetic on it wraps around."""

    locator: Locator
    found: list[Measurement]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [one.view(np.ndarray) if isinstance(one, _Watched) else one for one in inputs]
        out = kwargs.pop("out", None)
        if out is not None:
            kwargs["out"] = tuple(one.view(np.ndarray) if isinstance(one, _Watched) else one for one in out)
        right = None
        if method == "__call__" and ufunc in UFUNCS:
            wide = [
                one.astype(np.int64) if isinstance(one, np.ndarray) and one.dtype.kind == "u" else one for one in plain
            ]
            right = ufunc(*wide)
        result = getattr(ufunc, method)(*plain, **kwargs)
        is_whole = right is not None and np.asarray(right).dtype.kind in "iu"
        if is_whole and isinstance(result, np.ndarray) and result.dtype.kind == "u":
            share = float((result.astype(np.int64) != right).mean())
            if share:
                site = _Watched.locator.here(sys._getframe(1))
                told = {"op": ufunc.__name__, "share": share, "dtype": str(result.dtype), "site": site}
                _Watched.found.append({"is_proven": True, **told})
        if out is not None:
            return out[0] if len(out) == 1 else out
        return result.view(_Watched) if isinstance(result, np.ndarray) and result.dtype.kind == "u" else result


def _watched(scene: Scene, examples: Examples) -> Measurement:
    _Watched.locator, _Watched.found = scene.session.locator, []
    for owner in owners(examples.dataset):
        for name, value in list(getattr(owner, "__dict__", {}).items()):
            if isinstance(value, np.ndarray) and value.dtype.kind == "u":
                object.__setattr__(owner, name, value.view(_Watched))
            elif isinstance(value, list) and value and isinstance(value[0], np.ndarray) and value[0].dtype.kind == "u":
                object.__setattr__(owner, name, [one.view(_Watched) for one in value])
    for name in ("array", "asarray", "load", "frombuffer"):
        setattr(np, name, _watching(getattr(np, name)))
    for index in range(0, examples.size, max(1, examples.size // 4)):
        examples.dataset[index]
        if _Watched.found:
            return _Watched.found[0]
    return {}


def _watching(original: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        is_bytes = isinstance(result, np.ndarray) and result.dtype.kind == "u"
        return result.view(_Watched) if is_bytes else result

    return call


# ---------------------------------------------------------------- NumPy, before


def _looks_wrapped(examples: Examples) -> bool:
    """Whether many features are bytes, scaled, that pile up at both ends of the 256 levels and thin out from there."""
    matrix = examples.sample(1500, seconds=0.4).matrix
    if matrix is None or len(matrix) < 200:
        return False
    columns = matrix[:, :: max(1, matrix.shape[1] // 200)].double()
    count = 0
    for column in columns.T:
        levels = torch.unique(column)
        if not 12 <= len(levels) <= 256:
            continue
        step = float(levels.diff().min())
        places = (column - levels[0]) / step
        if not 200 <= float(places.max()) < 255.5 or float((places - places.round()).abs().max()) > 0.05:
            continue
        low, high = places < 24, places > 231
        ends = float((places == 0).double().mean()), float((places == places.max()).double().mean())
        shares = float(low.double().mean()), float(high.double().mean())
        middle = float(((places > 64) & (places < 191)).double().mean())
        is_smooth = ends[0] < 0.6 * shares[0] and ends[1] < 0.6 * shares[1]
        count += min(shares) > 0.15 and middle < 0.3 and is_smooth
    return count >= max(3, columns.shape[1] // 10)


class _Found(BaseException):
    pass


def _run_again(scene: Scene) -> Measurement:
    """Run the program's preparation again, up to its first call of a module; look at its arrays after every line."""
    path, locator = sys.argv[0], scene.session.locator
    if not Path(path).is_file() or not path.endswith(".py"):
        return {}
    found: list[Measurement] = []
    arrays: dict[int, dict[str, np.ndarray[Any, Any]]] = {}
    lines: dict[int, Site] = {}

    def on_line(frame: FrameType, event: str, argument: object) -> Any:
        before, site = arrays.get(id(frame), {}), lines.get(id(frame))
        now = {
            name: value
            for name, value in list(frame.f_locals.items())[:60]
            if isinstance(value, np.ndarray) and value.dtype.kind == "u" and value.size >= 16
        }
        new = [value for name, value in now.items() if before.get(name) is not value]
        if event == "return" and isinstance(argument, np.ndarray) and argument.dtype.kind == "u":
            new.append(argument)
        for value in new:
            told = _operands(value, list(before.values())[:8])
            if told and site is not None:
                found.append({"is_proven": True, **told, "dtype": str(value.dtype), "site": site})
                raise _Found
        arrays[id(frame)] = now
        lines[id(frame)] = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if event == "return":
            arrays.pop(id(frame), None)
            lines.pop(id(frame), None)
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return on_line if locator.is_user_code(frame.f_code) else None

    def stop(module: Any, args: Any) -> None:
        raise _Found

    torch.nn.modules.module.register_module_forward_pre_hook(stop)
    sys.settrace(on_call)
    try:
        runpy.run_path(path, run_name="__main__")
    except BaseException:
        pass
    finally:
        sys.settrace(None)
    return found[0] if found else {}


def _operands(value: np.ndarray[Any, Any], known: list[np.ndarray[Any, Any]]) -> Measurement:
    """Whether an array is the difference, sum or product of two known ones, modulo its range, and not without."""
    for one in known:
        for other in known:
            if one.dtype != value.dtype or other.dtype != value.dtype or one is value or other is value:
                continue
            for ufunc in (np.subtract, np.add, np.multiply):
                try:
                    result = ufunc(one, other)
                except ValueError:
                    continue
                if result.shape == value.shape and np.array_equal(result, value):
                    right = ufunc(one.astype(np.int64), other.astype(np.int64))
                    share = float((right != value.astype(np.int64)).mean())
                    if share:
                        return {"op": ufunc.__name__, "share": share}
    return {}
