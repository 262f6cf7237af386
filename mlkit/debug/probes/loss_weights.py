"""The weights that a loss gives to classes, however it is given them.

Not here: how often the classes occur (`data_labels`), and whether the two fit (`rules.class_weight_order`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.origin import root
from mlkit.debug.probes import Measurement
from mlkit.debug.scene import Head, Scene
from mlkit.debug.sites import Site


def measure(scene: Scene) -> Measurement:
    """``weights`` of the classes of the first head that has some; ``kind``: ``classes`` or ``positive``."""
    for head in scene.heads:
        if head.target is None:
            continue
        weight, kind = _given(scene, head)
        if weight is None or weight.dim() > 1 or weight.requires_grad or weight.numel() > 1000:
            continue
        if not bool(weight.detach().isfinite().all()) or bool((weight < 0).any()):
            continue
        return {
            "weights": [float(one) for one in weight.detach().flatten().tolist()],
            "kind": kind,
            "site": _site(scene, head, weight),
            "loss_site": head.site,
            "counts": _counts(head, weight.numel()) if kind == "classes" else _positives(head),
        }
    return {}


def _given(scene: Scene, head: Head) -> tuple[Tensor | None, str]:
    assert head.target is not None
    if head.name in ("cross_entropy", "nll_loss", "nll_loss_nd", "nll_loss2d"):
        weight = head.op.argument(2, "weight")
        if isinstance(weight, Tensor):
            return weight, "classes"
    if head.name == "binary_cross_entropy_with_logits":
        weight = head.op.argument(6, "pos_weight")
        if isinstance(weight, Tensor) and weight.numel() == 1:
            return weight, "positive"
        return None, ""
    if head.kind == "classes":  # weight[target], by hand
        labels = root(scene, head.target)
        for op in scene.trace.ops:
            if op.name in ("__getitem__", "index_select", "gather", "take") and any(
                root(scene, one) is labels for one in op.inputs[1:]
            ):
                first = op.argument(0, "input")
                if (
                    isinstance(first, Tensor)
                    and first.dim() == 1
                    and first.is_floating_point()
                    and not first.requires_grad
                    and first.numel() in head.prediction.shape[1:]
                ):
                    return first, "classes"
    return None, ""


def _counts(head: Head, classes: int) -> list[int]:
    target = head.target
    if target is None or target.is_floating_point() or target.numel() == 0:
        return []
    known = target.detach().flatten()
    known = known[(known >= 0) & (known < classes)]
    return torch.bincount(known.long(), minlength=classes).tolist()


def _positives(head: Head) -> list[int]:
    assert head.target is not None
    values = head.target.detach()
    return [int((values < 0.5).sum()), int((values >= 0.5).sum())]


def _site(scene: Scene, head: Head, weight: Tensor) -> Site | None:
    """Where the loss was given them: the line that made the module of the loss, else that which made the tensor."""
    for call in scene.trace.calls:
        if call.start <= head.op.index < call.stop and not call.has_parameters:
            made = scene.session.modules.made_at(call.module)
            if made is not None:
                return made
    made_by = scene.trace.producers().get(id(weight))
    return made_by.site if made_by is not None and made_by.site is not None else head.site
