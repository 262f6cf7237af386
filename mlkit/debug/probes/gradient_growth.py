"""How the gradient grows on its way back: through the steps of a recurrent loop, through time, through depth.

Not here: whether that is too much (`numeric.exploding-gradient`), or why it vanishes.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from itertools import pairwise

import torch
from torch import Tensor, nn

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site

LEAST_STEPS = 8
MOST_STEPS = 400


@probe("gradient_growth")
def measure(scene: Scene) -> Measurement:
    """``growth``: norm of the gradient at the first step over that at the last; ``monotone``: share of steps back that
    raise it; ``along``: steps of a loop, time, or layers.
    """
    if scene.loss is None:
        return {}
    found = [one for one in (_of_loops(scene), _of_time(scene), _of_depth(scene)) if one]
    return max(found, key=lambda one: float(one["growth"]), default={})  # type: ignore[arg-type]


def _grown(gradients: list[float], along: str, site: Site | None, last: int) -> Measurement:
    """Gradients in the order of the forward pass; the ``last`` ones are the reference."""
    norms = [one for one in gradients if math.isfinite(one)]
    if len(norms) < len(gradients):
        return {"growth": math.inf, "monotone": 1.0, "along": along, "steps": len(gradients), "site": site}
    if len(norms) < LEAST_STEPS or max(norms) <= 0:
        return {}
    end = max(norms[-last:])
    start = max(norms[:last])
    # Eighths are compared, since from one step to the next the batch's own noise may be larger than the growth.
    parts = [norms[len(norms) * at // 8 : len(norms) * (at + 1) // 8] for at in range(8)]
    back = [statistics.median(part) for part in parts if part][::-1]
    up = sum(b > a for a, b in pairwise(back)) / max(1, len(back) - 1)
    return {"growth": start / max(end, 1e-30), "monotone": up, "along": along, "steps": len(norms), "site": site}


def _of_loops(scene: Scene) -> Measurement:
    """Values that one line makes again and again, of one shape: the states of a recurrent loop."""
    groups: dict[tuple[object, str, tuple[int, ...]], list[Tensor]] = defaultdict(list)
    for op in scene.path:
        for one in op.outputs[:1]:
            if one.requires_grad and one.dim() >= 2 and op.site is not None and not one.is_leaf:
                groups[(op.site, op.name, tuple(one.shape))].append(one)
    long = [(key, group) for key, group in groups.items() if LEAST_STEPS <= len(group) <= MOST_STEPS]
    long = sorted(long, key=lambda item: -len(item[1]))[:8]
    best: Measurement = {}
    for (site, _, _), group in long:
        found = _grown(_norms(scene, group), "steps of the loop", site if isinstance(site, Site) else None, 3)
        if found and (not best or float(found["growth"]) > float(best["growth"])):  # type: ignore[arg-type]
            best = found
    return best


def _norms(scene: Scene, values: list[Tensor]) -> list[float]:
    assert scene.loss is not None
    found = torch.autograd.grad(scene.loss, values, retain_graph=True, allow_unused=True)
    return [float(one.norm()) for one in found if one is not None]


def _of_time(scene: Scene) -> Measurement:
    """The input of a recurrent layer, step by step in time."""
    for call in scene.trace.module_calls:
        module = call.module
        if not isinstance(module, nn.RNNBase) or not call.inputs or not isinstance(call.inputs[0], Tensor):
            continue
        given = call.inputs[0]
        if given.dim() != 3 or scene.loss is None:
            continue
        if given.requires_grad:
            gradient = torch.autograd.grad(scene.loss, [given], retain_graph=True, allow_unused=True)[0]
        else:
            entry = given.detach().clone().requires_grad_()
            try:
                loss = scene.loss_of({id(given): entry})
                gradient = torch.autograd.grad(loss, [entry], allow_unused=True)[0]
            except (LookupError, RuntimeError):
                continue
        if gradient is None:  # torch's stubs do not know allow_unused
            continue  # type: ignore[unreachable]
        norms = _from_each_end(gradient.norm(dim=2) if module.batch_first else gradient.norm(dim=2).T)
        if found := _grown(norms, "time steps", call.site, 3):
            return found
    return {}


def _from_each_end(norms: Tensor) -> list[float]:
    """Norms ``(N, T)`` over examples, each counted back from the last step that the loss reads of it.

    In a batch of padded series fewer and fewer examples reach a step, and none the last ones: their gradient there is
    exactly zero, which is no growth.
    """
    reached = (norms != 0).long().cumsum(1).argmax(1) + 1  # the first place of the largest sum is the last that is read
    length = int(reached.median())
    is_long = reached >= length
    places = reached[is_long, None] - length + torch.arange(length, device=norms.device)
    return [float(one) for one in norms[is_long].gather(1, places).norm(dim=0)]


def _of_depth(scene: Scene) -> Measurement:
    """Outputs of the layers of a deep model; scaled by the outputs' own norms, so that only the product counts."""
    values, site, seen = [], None, set()
    for call in scene.trace.module_calls:
        output = call.output
        if not isinstance(output, Tensor) or not output.requires_grad or id(call.module) in seen:
            continue
        if next(call.module.parameters(recurse=False), None) is None or isinstance(call.module, nn.RNNBase):
            continue
        seen.add(id(call.module))
        values.append(output)
        site = site or call.site
    if not LEAST_STEPS <= len(values) <= MOST_STEPS:
        return {}
    assert scene.loss is not None
    found = torch.autograd.grad(scene.loss, values, retain_graph=True, allow_unused=True)
    pairs = [(g, v) for g, v in zip(found, values, strict=True) if g is not None]
    norms = [float(g.norm()) for g, _ in pairs]
    return _grown(norms, "layers", site, 1)
