"""How far ahead of what it may see a language model's loss asks it to predict: 1 token is right.

Two measurements: which input tokens a prediction depends on (by its gradient), and which input token its label is.
Not here: models that see the future by mistake (`model.future-leak`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.origin import maker
from mlkit.debug.probes import Measurement
from mlkit.debug.probes.sequences import scores_by_position, table_of
from mlkit.debug.scene import Head, Scene
from mlkit.debug.sites import Site

_AGREE = 0.98


def measure(scene: Scene) -> Measurement:
    """``horizon``: label's place minus the last place that the prediction sees; ``agree``: how surely."""
    heads = [head for head in scene.heads if head.kind == "classes" and head.target is not None and head.is_known]
    found = [one for head in heads[:3] if (one := _of_head(scene, head))]
    if not found:
        return {}
    return next((one for one in found if one["horizon"] == 1), found[0])


def _of_head(scene: Scene, head: Head) -> Measurement:
    assert head.target is not None
    table = table_of(scene, head.target)
    if table.dim() != 2 or table.numel() != head.target.numel() or min(table.shape) < 2:
        return {}
    if not bool((table.reshape(-1) == head.target.reshape(-1)).all()):
        return {}
    best: Measurement = {}
    for ids, embedded in _embeddings(scene):
        for is_turned in (False, True):
            mine, labels = (ids.t(), table.t()) if is_turned else (ids, table)
            if mine.shape[0] != labels.shape[0] or abs(mine.shape[1] - labels.shape[1]) > 3 or labels.shape[1] < 6:
                continue
            place = _place(mine, labels)
            if place is None:
                continue
            shift, agree, count = place
            seen = _last_seen(scene, head, embedded, (table.shape[0], table.shape[1]), is_turned)
            if seen is None:
                continue
            at, last = seen
            found: Measurement = {
                "horizon": shift + at - last,
                "agree": agree,
                "positions": count,
                "site": head.site,
                "label_site": _cut(scene, head),
            }
            if found["horizon"] == 1:
                return found
            best = best or found
    return best


def _embeddings(scene: Scene) -> list[tuple[Tensor, Tensor]]:
    """(tokens, their vectors with a graph) of what was looked up in a table of vectors."""
    found = []
    for op in scene.trace.ops:
        if op.name not in ("embedding", "__getitem__") or not op.outputs or not op.outputs[0].requires_grad:
            continue
        ids = next((one for one in op.inputs if one.dtype in (torch.int64, torch.int32) and one.dim() == 2), None)
        if ids is not None and op.outputs[0].dim() == 3 and op.outputs[0].shape[:2] == ids.shape:
            found.append((ids, op.outputs[0]))
    return found[:4]


def _place(ids: Tensor, labels: Tensor) -> tuple[int, float, int] | None:
    """The shift d for which the label at t is the input at t + d: 1 if that fits, else the first that does."""
    ids, labels = ids.detach(), labels.detach()
    is_real = labels >= 0
    # Padding agrees with itself at any shift.
    end = labels[:, -1:]
    is_real &= ~((labels == end).flip(1).long().cumprod(1).flip(1).bool())
    for shift in (1, 0, 2, 3):
        length = min(labels.shape[1], ids.shape[1] - shift)
        if length < 4:
            continue
        mask = is_real[:, :length]
        wanted, given = labels[:, :length][mask], ids[:, shift : shift + length][mask]
        if wanted.numel() < 20 or len(set(wanted.tolist())) < 3:
            continue
        agree = float((wanted == given).float().mean())
        if agree >= _AGREE:
            return shift, agree, int(wanted.numel())
    return None


def _last_seen(
    scene: Scene, head: Head, embedded: Tensor, shape: tuple[int, int], is_turned: bool
) -> tuple[int, int] | None:
    """(a place in the middle, the last input place that the prediction there sees); None where it sees all."""
    by_position = scores_by_position(head, head.prediction)
    if by_position is None:
        return None
    length = shape[0] if is_turned else shape[1]
    at = length // 2
    row = 0
    index = at * shape[1] + row if is_turned else row * shape[1] + at
    scores = by_position[index]
    direction = torch.linspace(-1.0, 1.3, scores.numel(), dtype=scores.dtype, device=scores.device).cos()
    made = (scores * direction).sum()
    slope: Tensor | None = torch.autograd.grad(made, [embedded], retain_graph=True, allow_unused=True)[0]
    if slope is None:
        return None
    reached = (slope[:, row] if is_turned else slope[row]).abs().sum(-1) > 0
    places = reached.nonzero().flatten()
    if places.numel() == 0:
        return None
    last = int(places.max())
    return None if last >= reached.numel() - 1 else (at, last)


def _cut(scene: Scene, head: Head) -> Site | None:
    """The line that cut the labels last."""
    assert head.target is not None
    producers = scene.trace.producers()
    current = head.target
    for _ in range(8):
        op = producers.get(id(current))
        if op is None or not op.inputs:
            return None
        if op.name in ("__getitem__", "narrow"):
            return op.site
        current = op.inputs[0]
    made = maker(scene, head.target)
    return made.site if made is not None else None
