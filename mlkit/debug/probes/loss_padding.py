"""Whether padded positions of sequences enter the loss: the gradient by the predictions there.

Not here: whether padding changes the model's answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.probes import Measurement
from mlkit.debug.probes.sequences import frames, padding_of, scores_by_position, table_of
from mlkit.debug.scene import Head, Scene
from mlkit.debug.trace import tensors_in


def measure(scene: Scene) -> Measurement:
    """``share`` of the positions that are padding, and ``counted``: the share of those with a gradient."""
    if scene.loss is None or scene.loss.numel() != 1:
        return {}
    for head in scene.heads:
        if head.target is not None and (found := _of_head(scene, head)):
            return found
    return {}


def _of_head(scene: Scene, head: Head) -> Measurement:
    assert head.target is not None
    assert scene.loss is not None
    table = table_of(scene, head.target)
    if table.dim() == 3 and table.shape[-1] == 1:
        table = table.squeeze(-1)
    if table.dim() != 2 or table.numel() != head.target.numel() or table.is_complex() or table.dtype == torch.bool:
        return {}
    is_plain = table_order(table, head.target)
    for is_turned in (False, True):
        oriented = table.t() if is_turned else table
        found = padding_of(oriented)
        if found is None:
            continue
        runs, pad = found
        if not _is_padded_too(scene, head, runs, oriented.shape[1]):
            continue
        if isinstance(pad, (int, float)) and pad < 0 and not table.is_floating_point():
            return {}
        places = torch.arange(oriented.shape[1], device=table.device)[None, :] > (oriented.shape[1] - runs)[:, None]
        places = places.t() if is_turned else places
        if not is_plain:
            return {}
        slope: Tensor | None
        slope = torch.autograd.grad(scene.loss, [head.prediction], retain_graph=True, allow_unused=True)[0]
        by_position = scores_by_position(head, slope) if slope is not None else None
        if by_position is None:
            return {}
        used = (by_position != 0).any(1)
        flat = places.reshape(-1)
        if not bool(flat.any()) or not bool(used[~flat].any()):
            return {}
        return {
            "share": float(flat.float().mean()),
            "counted": float(used[flat].float().mean()),
            "pad": float(pad) if isinstance(pad, (int, float)) else 0.0,
            "is_classes": head.kind == "classes",
            "loss": head.name,
            "site": head.site,
            "rows": int(oriented.shape[0]),
            "length": int(oriented.shape[1]),
        }
    return {}


def table_order(table: Tensor, target: Tensor) -> bool:
    """Whether the flat target runs through the table row by row."""
    return bool((table.reshape(-1) == target.reshape(-1)).all())


def _is_padded_too(scene: Scene, head: Head, runs: Tensor, length: int) -> bool:
    """Whether an input of the model has padding of the same lengths (or one more or less) in the same rows."""
    own = (
        {id(head.target)} | {id(one) for one in scene.trace.sources([head.target])}
        if head.target is not None
        else set()
    )
    given = [one for call in scene.model_calls for one in tensors_in([call.args, call.kwargs])]
    for op in scene.trace.ops:
        if op.name == "embedding":
            given += [one for one in op.inputs if not one.is_floating_point()]
    for one in given:
        if id(one) in own:
            continue
        table = frames(one.detach())
        if table is None:
            continue
        for oriented in (table, table.t()):
            if oriented.shape[0] != runs.shape[0] or abs(oriented.shape[1] - length) > 2:
                continue
            found = padding_of(oriented)
            if found is not None and float(((found[0] - runs).abs() <= 1).float().mean()) >= 0.9:
                return True
    return False
