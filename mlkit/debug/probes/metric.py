"""Whether a program's own comparison of predictions with labels is perfect for perfect predictions.

The op that decides (argmax, a threshold, rounding) is given scores made from the labels, and the ops up to the
comparison are replayed. Not here: metrics computed outside torch, which cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mlkit.debug.origin import SIGMOID, SOFTMAX, axis_of, maker, root
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.probes.loss_join import outer
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op, replay, tensors_in

_COMPARING = ("eq", "__eq__", "ne", "__ne__")
_PICKING = ("argmax", "max", "topk", "sort", "argsort")
_LIMITING = (
    "gt",
    "ge",
    "lt",
    "le",
    "__gt__",
    "__ge__",
    "__lt__",
    "__le__",
    "round",
    "sign",
    "greater",
    "round_",
    "heaviside",
)
Found = dict[str, object]


@probe("metric", scenes=("train", "eval"))
def measure(scene: Scene) -> Measurement:
    """``wrong``: comparisons that are not perfect for perfect predictions; ``single``: an argmax over one unit."""
    outputs = [one for call in scene.model_calls for one in tensors_in(call.output)]
    if scene.loss is None and scene.call is not None:
        outputs = tensors_in(scene.call.output)
    if not outputs:
        return {}
    start = (
        max((call.stop for call in scene.model_calls), default=0)
        if scene.loss is not None
        else scene.call.stop
        if scene.call
        else 0
    )
    return looked_at(scene, outputs, start)


def looked_at(scene: Scene, outputs: list[Tensor], start: int) -> Measurement:
    """The same for the ops of a scene from ``start`` on, after a model returned ``outputs``."""
    reached = {id(one) for one in outputs}
    wrong: list[Found] = []
    single: list[Found] = []
    compared = 0
    with torch.no_grad():
        for op in scene.trace.ops[start:]:
            if op.error is not None or not any(id(one) in reached for one in op.inputs):
                continue
            if op.name in ("argmax", "max") and (entry := _of_one(op)) is not None:
                single.append(entry)
            compared += op.name in _COMPARING
            if op.name in _COMPARING and (entry := _compared(scene, op, outputs, reached)) is not None:
                wrong.append(entry)
            reached |= {id(one) for one in op.outputs}
    found = {name: entries[:3] for name, entries in (("wrong", wrong), ("single", single)) if entries}
    return {**found, "compared": compared} if compared or found else {}


def _of_one(op: Op) -> Found | None:
    """An argmax along an axis of one unit, of more than one sample."""
    given = next(iter(op.inputs), None)
    if given is None or given.dim() < 2 or (op.argument(1, "dim", op.kwargs.get("axis")) is None) or len(op.inputs) > 1:
        return None
    axis = axis_of(op)
    if axis is None or axis == 0 or given.shape[axis] != 1 or given.shape[0] < 2:
        return None
    if op.name == "max" and not isinstance(op.output, tuple):
        return None
    return {"op": op.name, "shape": str(tuple(given.shape)), "dim": axis, "site": op.site}


def _compared(scene: Scene, op: Op, outputs: list[Tensor], reached: set[int]) -> Found | None:
    given = [one for one in (op.argument(0, "input"), op.argument(1, "other")) if isinstance(one, Tensor)]
    mine = [one for one in given if id(one) in reached]
    labels = [one for one in given if id(one) not in reached]
    if len(mine) != 1 or len(labels) != 1 or labels[0].numel() < 4 or labels[0].requires_grad or not op.outputs:
        return None
    guess, label = mine[0], labels[0]
    if outer(scene, op) is not None:
        return {
            "kind": "table",
            "site": op.site,
            "shapes": f"{tuple(guess.shape)} and {tuple(label.shape)}",
            "right": None,
        }
    if label.is_floating_point() and not bool((label == label.round()).all()):
        return None
    deciding = _deciding(scene, guess, outputs)
    if deciding is None:
        return None
    decision, scores = deciding
    if _is_looked_up(scene, decision, guess) or _is_between(scene, scores, outputs):
        return None
    tried: list[tuple[str, float]] = []
    for name, perfect in _perfect(scene, decision, scores, label):
        share = _share(scene, decision, scores, perfect, op, label)
        if share is None:
            return None
        tried.append((name, share))
    if not tried or _is_own_order(scene, label):
        return None
    strong = [share for name, share in tried if name != "weak"]
    weak = [share for name, share in tried if name == "weak"]
    right = max(strong) if strong else max(weak)
    if right < 0.999:
        kind = "imperfect"
    elif weak and min(weak) < 0.999:
        kind, right = "threshold", min(weak)
    else:
        return None
    return {
        "kind": kind,
        "site": decision.site or op.site,
        "compare_site": op.site,
        "decision": decision.name,
        "shapes": f"{tuple(scores.shape)} against {tuple(label.shape)}",
        "right": right,
    }


def _deciding(scene: Scene, guess: Tensor, outputs: list[Tensor]) -> tuple[Op, Tensor] | None:
    """The first op that makes decisions of scores, and the scores."""
    for op in scene.trace.behind([guess], stop=outputs):
        if op.name in (*_PICKING, *_LIMITING):
            scores = next((one for one in op.inputs if one.is_floating_point()), None)
            return (op, scores) if scores is not None else None
    return None


def _is_between(scene: Scene, scores: Tensor, outputs: list[Tensor]) -> bool:
    """Whether scores compare outputs with each other (a distance of two embeddings): no threshold of it is known."""
    roots: dict[int, frozenset[int]] = {id(one): frozenset([id(one)]) for one in outputs}
    for op in scene.trace.behind([scores], stop=outputs):
        known = {roots[id(one)] for one in op.inputs if id(one) in roots}
        if len(known) > 1 and op.name not in ("cat", "stack", "concat", "vstack", "hstack"):
            return True
        for one in op.outputs:
            roots.setdefault(id(one), frozenset().union(*known))
    return False


def _is_looked_up(scene: Scene, decision: Op, guess: Tensor) -> bool:
    """Whether what was decided is a place in a table (of a neighbour's label), not a class itself."""
    found = {id(one) for one in decision.outputs}
    for op in scene.trace.behind([guess], stop=decision.outputs):
        is_lookup = op.name in ("__getitem__", "gather", "take", "index_select", "embedding", "take_along_dim")
        first = next(iter(op.inputs), None)
        if is_lookup and first is not None and id(first) not in found and any(id(one) in found for one in op.inputs):
            return True
        if any(id(one) in found for one in op.inputs):
            found |= {id(one) for one in op.outputs}
    return False


def _is_own_order(scene: Scene, label: Tensor) -> bool:
    """Labels 0, 1, 2, …: the place in the batch itself, as in contrastive learning."""
    flat = root(scene, label).flatten()
    return flat.numel() > 1 and bool((flat == torch.arange(flat.numel(), device=flat.device)).all())


def _perfect(scene: Scene, decision: Op, scores: Tensor, label: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Scores that say what the labels say, in each space that they may be in; ``weak``: barely on the right side."""
    values = label.detach()
    if decision.name in _PICKING:
        for axis in range(scores.dim() - 1, -1, -1):
            # The axis of the samples is not that of the classes.
            if (axis == 0 and scores.dim() > 1) or scores.shape[axis] < 2:
                continue
            places = values.long()
            rest = [size for number, size in enumerate(scores.shape) if number != axis]
            if places.numel() != scores.numel() // scores.shape[axis]:
                continue
            places = places.reshape(rest)
            if bool((places >= scores.shape[axis]).any()):
                continue
            made = torch.full_like(scores, -5.0)
            yield f"axis {axis}", made.scatter(axis, places.clamp(0).unsqueeze(axis), 5.0)
        return
    if scores.numel() != values.numel():
        return
    if not set(values.flatten().tolist()) <= {-1, 0, 1}:
        return
    truth = (values > 0).reshape(scores.shape).to(scores.dtype)
    source = maker(scene, scores)
    is_probability = source is not None and (source.name in SIGMOID or source.name in SOFTMAX)
    known = _training_loss(scene)
    if is_probability:
        yield "probabilities", 0.1 + 0.8 * truth
    elif known == "binary_cross_entropy_with_logits" and _is_raw(scene, scores):
        yield "logits", 16 * truth - 8
        yield "weak", 0.4 * truth - 0.2
    else:
        yield "logits", 16 * truth - 8
        yield "probabilities", 0.1 + 0.8 * truth
        yield "labels", truth
        yield "signs", 2 * truth - 1


def _training_loss(scene: Scene) -> str | None:
    """The loss that training used, and on what."""
    heads = scene.session.facts.probe("train/heads").get("heads")
    names = [one["name"] for one in heads] if isinstance(heads, list) else []
    return str(names[0]) if len(set(names)) == 1 else None


def _is_raw(scene: Scene, scores: Tensor) -> bool:
    """Whether scores are a model's output as it is, and training gave its loss the same."""
    told = scene.session.facts.probe("train/heads")
    found = told.get("heads")
    first = root(scene, scores)
    outputs = [root(scene, one) for one in scene.outputs]
    is_output = any(first is one for one in outputs) or any(first is one for one in scene.outputs)
    return (
        is_output
        and isinstance(found, list)
        and not told.get("is_squashed")
        and bool((scores < 0).any() or (scores > 1).any())
    )


def _share(scene: Scene, decision: Op, scores: Tensor, perfect: Tensor, compare: Op, label: Tensor) -> float | None:
    """The share of comparisons that are right; None where they cannot be replayed."""
    ops = [op for op in scene.trace.behind([compare.outputs[0]], stop=[scores]) if op.index >= decision.index]
    try:
        known = replay(ops, {id(scores): perfect})
    except Exception:  # an op that is at odds with such scores
        return None
    result = known.get(id(compare.outputs[0]))
    if not isinstance(result, Tensor):
        return None
    if compare.name in ("ne", "__ne__"):
        result = ~result.bool()
    if result.numel() > label.numel() and decision.name in ("topk", "sort", "argsort") and result.dim() > 1:
        result = result.bool().any(-1)  # among the first few is what is asked for
    if result.numel() == label.numel():
        result = (
            result.reshape(label.shape)[label >= 0]
            if bool((label < 0).any()) and not bool((label == -1).any())
            else result
        )
    return float(result.float().mean()) if result.numel() else None
