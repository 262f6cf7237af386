"""The numbers that training reads: their scale where they enter the network, what is not finite, what never varies.

Not here: labels (`data_labels`), and how examples are read (`data_reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mlkit.debug.examples import Examples, leaves_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.reading import base, read_slowly
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op, Trace

HANDLES_NAN = frozenset(["isnan", "nan_to_num", "isfinite", "nanmean", "nansum", "nanmedian", "isinf"])
SHIFTS = frozenset(["sub", "__sub__", "sub_", "__isub__", "subtract"])
SCALES = frozenset(["div", "__truediv__", "div_", "__itruediv__", "true_divide", "divide"])


@probe("data-values")
def data_values(scene: Scene) -> Measurement:
    """What enters the first layer, and what the training examples hold."""
    examples = scene.session.data.training
    found: Measurement = {}
    entry = entry_of(scene)
    if entry is not None:
        found["entry"] = _entry_facts(scene, *entry)
    if examples is None:
        return found
    found["size"] = examples.size
    found["site"] = site_of_inputs(scene, examples)
    found["handles_nan"] = any(op.name in HANDLES_NAN for op in scene.trace.ops)
    found.update(_non_finite(scene, examples))
    found["twice"] = _applied_twice(scene, examples)
    return found


# ---------------------------------------------------------------- where data enters the network


def entry_of(scene: Scene) -> tuple[Op, Tensor] | None:
    """The first op that joins data with parameters, and the data that enters it."""
    parameters = {id(one) for _, one in scene.parameters}
    for op in scene.path:
        tensors = op.inputs
        has_weights = any(id(one) in parameters or (one.requires_grad and one.is_leaf) for one in tensors)
        data = [one for one in tensors if not one.requires_grad and one.dim() >= 1 and one.numel() > 1]
        if has_weights and data and not op.is_in_place:
            return op, data[0]
    return None


def _entry_facts(scene: Scene, op: Op, data: Tensor) -> dict[str, object]:
    """Scale of what enters; whether a normalisation takes or follows it."""
    following = next((one for one in scene.trace.ops[op.index + 1 :] if any(x is op.output for x in one.inputs)), None)
    facts: dict[str, object] = {
        "op": op.name,
        "site": op.site,
        "is_real": data.is_floating_point(),
        "is_normalised": "norm" in op.name or "embedding" in op.name,
        "is_normalised_after": following is not None and "norm" in following.name,
        "shape": tuple(data.shape),
    }
    if data.is_floating_point():
        facts.update(moments(data.detach()))
    return facts


def moments(data: Tensor) -> dict[str, object]:
    """Mean, spread and range of a batch, its share of zeros, and the step where few values lie on a lattice."""
    values = data.detach().float().reshape(-1)
    values = values[torch.isfinite(values)][:2_000_000]
    if not len(values):
        return {}
    axes = [axis for axis in range(data.dim()) if axis != 1] if data.dim() >= 2 else []
    spreads = data.detach().float().std(axes, correction=0) if axes else data.detach().float().std(correction=0)
    return {
        "mean": float(values.mean()),
        "std": float(values.std(correction=0)),
        "rms": float(values.square().mean().sqrt()),
        "min": float(values.min()),
        "max": float(values.max()),
        "feature_std": float(spreads[torch.isfinite(spreads)].median()) if spreads.numel() else 0.0,
        "zeros": float((values == 0).float().mean()),
        "lattice": lattice(values),
    }


def lattice(values: Tensor) -> float | None:
    """The step between values that are those of a byte scaled and shifted, or None."""
    levels = torch.unique(values[:200_000])
    if not 12 <= len(levels) <= 256:
        return None
    gaps = levels.double().diff()
    step = float(gaps.min())
    ratios = gaps / step
    is_even = bool(((ratios - ratios.round()).abs() < 0.1).all()) and float(levels[-1] - levels[0]) / step < 255.5
    return step if is_even else None


def site_of_inputs(scene: Scene, examples: Examples) -> Site | None:
    """The line of the user's code that makes the inputs what the model gets."""
    births = scene.session.data.births
    if examples.loader is None:
        return (births.of(examples.inputs[0]) if examples.inputs else None) or examples.site
    data, _ = base(examples.dataset)
    if isinstance(data, TensorDataset):
        site = births.of(data.tensors[0])
        if site is not None:
            return site
        return scene.session.data.made_at(data) or examples.site
    if examples.size:
        reading = read_slowly(examples, 0, scene.session.locator)
        if reading.inputs and (site := reading.site_of(reading.inputs[0])) is not None:
            return site
    return scene.session.data.made_at(data) or examples.site


# ---------------------------------------------------------------- not finite


def _non_finite(scene: Scene, examples: Examples) -> dict[str, object]:
    """Share of items with a NaN or infinite input, or label; features that are constant."""
    inputs, labels = _whole(examples)
    if not inputs:
        sample = examples.sample(1500, seconds=0.5)
        matrix = sample.matrix if sample.is_real else None
        inputs = [matrix] if matrix is not None else []
        real = [one for one in sample.labels if one is not None and one.is_floating_point()]
        labels = torch.stack(real) if real and len({one.shape for one in real}) == 1 else None
    found: dict[str, object] = {}
    for one in inputs:
        if not one.is_floating_point() or one.dim() < 1 or one.numel() > 40_000_000:
            continue
        rows = one.reshape(one.shape[0], -1)
        bad = ~torch.isfinite(rows).all(1)
        if bool(bad.any()):
            cells = ~torch.isfinite(rows[bad])
            found["bad_rows"], found["rows"] = int(bad.sum()), len(rows)
            found["first_bad"] = int(bad.nonzero()[0, 0])
            found["bad_columns"] = cells.any(0).nonzero()[:8, 0].tolist()
            found["whole_columns"] = int((~torch.isfinite(rows)).all(0).sum())
        if one.dim() == 2 and len(rows) >= 50 and rows.shape[1] <= 200:
            steady = rows.amax(0) == rows.amin(0)
            found["constant"] = steady.nonzero()[:8, 0].tolist()
            found["features"] = rows.shape[1]
    if labels is not None and labels.is_floating_point() and labels.numel():
        bad = ~torch.isfinite(labels.reshape(labels.shape[0], -1)).all(1)
        if bool(bad.any()):
            found["bad_labels"], found["rows"] = int(bad.sum()), len(labels)
            found["first_bad_label"] = int(bad.nonzero()[0, 0])
    return found


def _whole(examples: Examples) -> tuple[list[Tensor], Tensor | None]:
    """The tensors of all items, where the program holds them as such."""
    if examples.loader is None:
        if examples.rows is not None:
            label = examples.label[examples.rows] if examples.label is not None else None
            return [one[examples.rows] for one in examples.inputs], label
        return examples.inputs, examples.label
    data, rows = base(examples.dataset)
    if not isinstance(data, TensorDataset):
        return [], None
    tensors: list[Tensor] = [one if rows is None else one[rows] for one in data.tensors]
    roles = examples.roles if len(examples.roles) == len(tensors) else ["input"] * len(tensors)
    inputs = [one for one, role in zip(tensors, roles, strict=True) if role in ("input", "both")]
    return inputs, next((one for one, role in zip(tensors, roles, strict=True) if role == "label"), None)


# ---------------------------------------------------------------- the same normalisation twice


def _applied_twice(scene: Scene, examples: Examples) -> dict[str, object]:
    """Two shifts, or two divisions, by the same constants on the way of one input."""
    steps: list[tuple[str, tuple[float, ...], Site | None]] = []
    if examples.loader is not None and examples.size:
        reading = read_slowly(examples, 0, scene.session.locator)
        if reading.inputs:
            steps += _affine(reading.trace, reading.inputs[0])
    entry = entry_of(scene)
    if entry is not None:
        leaves = [one for _, batch in scene.session.loaders.batches for one in leaves_of(batch)]
        inside = scene.trace if examples.loader is not None else Trace(ops=_after_cut(scene, examples))
        steps += _affine(inside, entry[1], stop=leaves)
    for kind in ("scale", "shift"):
        mine = [(constants, site) for name, constants, site in steps if name == kind]
        for place, (constants, site) in enumerate(mine):
            again = [other for value, other in mine[place + 1 :] if value == constants]
            other_kind = [value for name, value, _ in steps if name == ("shift" if kind == "scale" else "scale")]
            both = any(other_kind.count(value) >= 2 for value in other_kind)
            if again and (both or (kind == "scale" and abs(constants[0]) >= 100)):
                return {"constants": list(constants[:4]), "first": site, "again": again[0]}
    return {}


def _after_cut(scene: Scene, examples: Examples) -> list[Op]:
    whole = {id(one) for one in examples.inputs}
    start = max((op.index for op in scene.trace.ops if any(id(one) in whole for one in op.inputs)), default=0)
    return scene.trace.ops[start:]


def _affine(
    trace: Trace, tensor: Tensor, *, stop: Sequence[Tensor] = ()
) -> list[tuple[str, tuple[float, ...], Site | None]]:
    found = []
    for op in trace.behind([tensor], stop=stop):
        kind = "shift" if op.name in SHIFTS else "scale" if op.name in SCALES else None
        constants = _constants(op.args[1]) if kind is not None and len(op.args) > 1 else None
        if kind is not None and constants is not None:
            found.append((kind, constants, op.site))
    return found


def _constants(value: Any) -> tuple[float, ...] | None:
    if isinstance(value, (int, float)):
        return (round(float(value), 5),)
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and 1 <= value.numel() <= 16:
        return tuple(round(one, 5) for one in value.detach().double().reshape(-1).tolist())
    return None
