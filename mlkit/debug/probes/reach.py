"""Which parameters the gradient of the loss reaches, which it is kept from and where, which belong to nobody.

Not here: whether that was meant (rules compare with what the optimisers hold and with what happens at later steps).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mlkit.debug.graph import has_graph, leaves_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op, tensors_in
from mlkit.debug.variables import modules

LEAVING = frozenset(("numpy", "tolist", "item", "__array__", "__float__", "__int__", "__bool__"))
"""Calls by which values leave torch; what comes back has no graph."""
NOT_A_USE = frozenset(("grad", "grad.__set__", "requires_grad.__set__", "__deepcopy__"))
ENTERING = frozenset(("tensor", "as_tensor", "from_numpy", "asarray"))


@probe("reach", scenes=("train", "refused"))
def reach(scene: Scene) -> Measurement:
    """Parameters by key: reached, used in the segment, cut off (with the line), and leaves that no model registers."""
    if scene.loss is None:
        return {}
    known = {id(one): (one, key) for one, key in scene.session.modules.parameters()}
    leaves = {id(one): one for one in leaves_of(scene.loss)}
    trainable = {number: entry for number, entry in known.items() if entry[0].requires_grad}
    missing = {number: key for number, (_, key) in trainable.items() if number not in leaves}
    cuts = list(_cuts(scene, missing))
    return {
        "site": scene.site,
        "reached": [key for number, (_, key) in trainable.items() if number in leaves],
        "used": sorted(_used(scene, trainable)),
        "cuts": cuts,
        "trainable": len(trainable),
        "frozen": [key for number, (_, key) in known.items() if number not in trainable],
        "loss_is_leaf": scene.loss.grad_fn is None and scene.loss.requires_grad,
        "unregistered": list(_unregistered(scene, leaves, known)),
        "void_freezes": _void_freezes(scene, trainable),
        "last": _last(scene, known),
        "is_truncated": scene.trace.is_truncated,
    }


def _used(scene: Scene, trainable: dict[int, tuple[Tensor, int]]) -> set[int]:
    """Keys of the parameters that a call of the segment reads (and does not only fill)."""
    found = set()
    start = min((call.start for call in scene.trace.calls), default=0)
    for op in scene.trace.ops[start:]:
        if not op.is_in_place and op.name not in NOT_A_USE:
            found |= {trainable[id(one)][1] for one in op.inputs if id(one) in trainable}
    return found


def _cuts(scene: Scene, missing: dict[int, int]) -> Iterator[dict[str, object]]:
    """Where values of parameters without a path of gradients go on towards the loss, or leave torch."""
    if not missing:
        return
    assert scene.loss is not None
    bits = {number: 1 << place for place, number in enumerate(missing)}
    keys = list(missing.values())
    path = {op.index for op in scene.path}
    entries = [op.index for op in scene.path if op.name in ENTERING and not op.inputs]
    entries += _silent_entries(scene, set(bits))
    made = {id(one) for op in scene.trace.ops for one in op.outputs}
    carried = dict(bits)  # id of a tensor -> parameters whose gradient could still come through it
    values = dict(bits)  # … -> parameters whose value is in it
    first: dict[int, Op] = {}  # bit -> the op at which the gradient stopped
    on_path = left = 0
    leaving: dict[int, Op] = {}
    for op in scene.trace.ops:
        inputs = op.inputs
        mask = value = 0
        for one in inputs:
            if id(one) not in made and id(one) not in values and has_graph(one):  # made in an earlier segment
                from_before = sum(bits.get(id(leaf), 0) for leaf in leaves_of(one))
                carried[id(one)] = values[id(one)] = from_before
            mask |= carried.get(id(one), 0)
            value |= values.get(id(one), 0)
        if not value:
            continue
        is_own_fill = op.is_in_place and bool(inputs) and id(inputs[0]) in bits
        if is_own_fill:
            continue
        if op.name in LEAVING and any(entry > op.index for entry in entries):
            left |= value
            for bit in [bit for bit in _bits(value) if bit not in leaving]:
                leaving[bit] = op
        outputs = op.outputs
        goes_on = any(one.requires_grad for one in outputs)
        for one in outputs:
            values[id(one)] = values.get(id(one), 0) | value
            if one.requires_grad:
                carried[id(one)] = carried.get(id(one), 0) | mask
        if op.index in path:
            on_path |= value
        if mask and not goes_on and (op.index in path or op.name not in LEAVING):
            for bit in _bits(mask):
                if bit not in first or (first[bit].index not in path and op.index in path):
                    first[bit] = op
    groups: dict[tuple[int, bool], list[int]] = {}
    for bit in _bits(on_path | left):
        flows = bool(bit & on_path)
        stop = first.get(bit) if flows else leaving.get(bit)
        if stop is not None:
            groups.setdefault((stop.index, flows), []).append(keys[bit.bit_length() - 1])
    for (index, flows), members in groups.items():
        op = scene.trace.ops[index]
        yield {
            "keys": members,
            "op": op.name,
            "site": _cut_site(scene, op),
            "function": op.site.function if op.site else "",
            "no_grad": not op.grad_enabled and op.name not in ("detach", "data", "numpy"),
            "flows": flows,
        }


def _silent_entries(scene: Scene, parameters: set[int]) -> list[int]:
    """Ops on the way to the loss that use an array's memory (`torch.from_numpy` is no call that can be seen)."""
    outside = [op for op in scene.trace.ops if op.name in ("numpy", "__array__", "tolist")]
    if not outside:
        return []
    made = {id(one) for op in scene.trace.ops for one in op.outputs}
    given = {id(one) for call in scene.trace.calls for one in tensors_in([call.args, call.kwargs])}
    buffers = {id(one) for call in scene.model_calls for one in call.module.buffers()}
    left = {one.untyped_storage().data_ptr() for op in outside for one in op.inputs if one.numel()}
    found = []
    for op in scene.path:
        for one in op.inputs:
            if id(one) in made or id(one) in given or id(one) in parameters or id(one) in buffers or one.requires_grad:
                continue
            if (one.numel() and one.untyped_storage().data_ptr() in left) or (op.modules and one.is_floating_point()):
                found.append(op.index)
    return found


def _bits(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit


def _cut_site(scene: Scene, op: Op) -> Site | None:
    """The user's line of a cut; for a region without gradients, that of the outermost module call within it."""
    if op.grad_enabled or op.name in ("detach", "data", "numpy"):
        return op.site
    ops = scene.trace.ops
    within = [call for call in scene.trace.module_calls if call.start <= op.index < call.stop]
    within = [call for call in within if not any(ops[index].grad_enabled for index in range(call.start, call.stop))]
    outer = max(within, key=lambda call: call.stop - call.start, default=None)
    return outer.site if outer is not None and outer.site is not None else op.site


def _void_freezes(scene: Scene, trainable: dict[int, tuple[Tensor, int]]) -> list[tuple[Site | None, int]]:
    """``requires_grad = False`` set on tensors that only share the memory of a parameter (a state dictionary's)."""
    keys = {one.untyped_storage().data_ptr(): key for one, key in trainable.values() if one.numel()}
    found = []
    for op in scene.trace.ops:
        if op.name == "requires_grad.__set__" and len(op.args) > 1 and op.args[1] is False:
            tensor = op.args[0]
            if not isinstance(tensor, Tensor) or isinstance(tensor, nn.Parameter) or id(tensor) in trainable:
                continue
            pointer = tensor.untyped_storage().data_ptr()
            if tensor.numel() and pointer in keys:
                found.append((op.site, keys[pointer]))
    return found


def _last(scene: Scene, known: dict[int, tuple[Tensor, int]]) -> list[int]:
    """Keys of the parameters that the last op on the path with parameters uses."""
    for op in reversed(scene.path):
        found = [known[id(one)][1] for one in op.inputs if id(one) in known]
        if found and any(one.dim() > 1 for one in op.inputs if id(one) in known):
            return found
    return []


def _unregistered(
    scene: Scene, leaves: dict[int, Tensor], known: dict[int, tuple[Tensor, int]]
) -> Iterator[dict[str, object]]:
    """Trainable leaves of the graph that no model lists and no optimiser holds, by the module that owns them."""
    held = {id(one) for o in scene.session.optimizers.live() for group in o.param_groups for one in group["params"]}
    yield from _in_containers(scene, {number: one for number, one in leaves.items() if number not in held})
    strange = {number: one for number, one in leaves.items() if number not in known and number not in held}
    if not strange:
        return
    called = [call for call in scene.trace.module_calls if any(id(p) in strange for p in call.module.parameters())]
    called.sort(key=lambda call: call.start - (call.stop - call.start) / 1e6)  # the outermost first
    for call in called:
        mine: list[Tensor] = [one for one in call.module.parameters() if id(one) in strange]
        if not mine:
            continue
        made = scene.session.modules.made_at(call.module)
        yield _entry("module", type(call.module).__name__, mine, made or call.site, strange, call.site)
    roots = {id(call.module): call.module for call in scene.model_calls}
    for root in roots.values():
        for part in root.modules():
            for name, value in vars(part).items():
                if name.startswith("_") and name in ("_parameters", "_buffers", "_modules"):
                    continue
                mine = [one for one in tensors_in(value) if id(one) in strange]
                if mine:
                    label = f"{type(part).__name__}.{name}"
                    yield _entry("tensor", label, mine, _maker(scene, mine[0]), strange, _use(scene, mine[0]))
    for one in [one for one in strange.values() if isinstance(one, nn.Parameter)]:
        yield _entry("parameter", "Parameter", [one], _maker(scene, one), strange, _use(scene, one))


def _in_containers(scene: Scene, loose: dict[int, Tensor]) -> Iterator[dict[str, object]]:
    """Layers in a plain list or dict of a module that does not list them, where the user calls another method of it."""
    roots = {id(one): one for one in modules(scene.session.locator)}
    called = {id(call.module) for call in scene.model_calls}
    for root in roots.values():
        if not loose or id(root) in called:
            continue  # a layer within a call of its owner is met as such
        listed = {id(one) for one in root.parameters()}
        for part in root.modules():
            for name, value in vars(part).items():
                if name in ("_parameters", "_buffers", "_modules") or not isinstance(value, (list, tuple, dict)):
                    continue
                for one in value.values() if isinstance(value, dict) else value:
                    own = list(one.parameters()) if isinstance(one, nn.Module) else []
                    mine: list[Tensor] = [p for p in own if id(p) in loose]
                    if mine and not any(id(p) in listed for p in mine):
                        site = scene.session.modules.made_at(one)
                        yield _entry("module", type(one).__name__, mine, site or _use(scene, mine[0]), loose, site)


def _entry(
    kind: str, name: str, tensors: list[Tensor], site: Site | None, strange: dict[int, Tensor], used_at: Site | None
) -> dict[str, object]:
    for one in tensors:
        strange.pop(id(one), None)
    return {
        "kind": kind,
        "name": name,
        "ids": [id(one) for one in tensors],
        "tensors": len(tensors),
        "numbers": sum(one.numel() for one in tensors),
        "site": site or used_at,
        "used_at": used_at,
    }


def _maker(scene: Scene, tensor: Tensor) -> Site | None:
    """The line that made the memory of a tensor, where the segment still holds it."""
    pointer = tensor.untyped_storage().data_ptr()
    for op in scene.trace.ops:
        for one in op.outputs:
            if one is tensor or (
                one.numel() and one.layout == torch.strided and one.untyped_storage().data_ptr() == pointer
            ):
                return op.site
    return None


def _use(scene: Scene, tensor: Tensor) -> Site | None:
    return next((op.site for op in scene.path if any(one is tensor for one in op.inputs)), None)
