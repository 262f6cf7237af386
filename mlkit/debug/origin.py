"""What made the values of a tensor: the op behind views, slices and casts, in which space they are, and its line.

Not here: whether a loss may be given them (`mlkit.debug.probes.loss_space`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op

# Ops that hand values on: another shape, another type, a part of them.
RESHAPING = frozenset(
    [
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "transpose",
        "permute",
        "flatten",
        "unflatten",
        "contiguous",
        "float",
        "double",
        "half",
        "bfloat16",
        "to",
        "type",
        "type_as",
        "clone",
        "t",
        "T",
        "mT",
        "movedim",
        "moveaxis",
        "swapaxes",
        "swapdims",
        "expand",
        "expand_as",
        "broadcast_to",
        "view_as",
        "reshape_as",
        "narrow",
        "select",
        "__getitem__",
        "squeeze_",
        "unsqueeze_",
        "cpu",
        "cuda",
        "chunk",
        "split",
        "unbind",
        "stack",
        "cat",
        "concat",
        "hstack",
        "vstack",
        "index_select",
        "masked_select",
        "atleast_1d",
        "atleast_2d",
        "ravel",
        "broadcast_tensors",
        "identity",
        "dropout",
        "requires_grad_",
    ]
)
_LIMITING = frozenset(["clamp", "clip", "clamp_min", "clamp_max", "clamp_", "nan_to_num"])
SOFTMAX = frozenset(["softmax", "softmin", "gumbel_softmax"])
SIGMOID = frozenset(["sigmoid", "sigmoid_", "expit"])


def maker(scene: Scene, tensor: Tensor, *, through: frozenset[str] = _LIMITING) -> Op | None:
    """The op that made a tensor's values, behind those that only reshape, cast or cut; None where none was seen."""
    return _Makers.of(scene).maker(tensor, through)


def root(scene: Scene, tensor: Tensor) -> Tensor:
    """The tensor that has the values first, behind ops that only reshape, cast or cut."""
    return _Makers.of(scene).root(tensor)


class _Makers:
    """Producers of a scene's tensors, found once."""

    def __init__(self, scene: Scene) -> None:
        self.producers = scene.trace.producers()
        self.count = len(scene.trace.ops)

    @classmethod
    def of(cls, scene: Scene) -> _Makers:
        known = scene.__dict__.get("_makers")
        if not isinstance(known, cls) or known.count != len(scene.trace.ops):
            known = scene.__dict__["_makers"] = cls(scene)
        return known

    def maker(self, tensor: Tensor, through: frozenset[str]) -> Op | None:
        op = self.producers.get(id(tensor))
        for _ in range(50):
            if op is None or (op.name not in RESHAPING and op.name not in through):
                return op
            given = _handed_on(op)
            if given is None:
                return op
            before = self.producers.get(id(given))
            if before is op or before is None or before.index >= op.index:
                return None if before is None else op
            op = before
        return op

    def root(self, tensor: Tensor) -> Tensor:
        for _ in range(50):
            op = self.producers.get(id(tensor))
            if op is None or op.name not in RESHAPING:
                return tensor
            given = _handed_on(op)
            if given is None or given is tensor:
                return tensor
            tensor = given
        return tensor


def _handed_on(op: Op) -> Tensor | None:
    """The tensor whose values an op hands on: the first that has a graph, else the first."""
    inputs = op.inputs
    if op.name == "dropout" and op.argument(2, "training", False):
        return None
    return next((one for one in inputs if one.requires_grad), inputs[0] if inputs else None)


def is_distribution(values: Tensor, axis: int, *, tolerance: float = 1e-3) -> bool:
    """Whether values lie in [0, 1] and sum to 1 along an axis of more than one."""
    if not values.is_floating_point() or values.dim() == 0 or values.numel() == 0:
        return False
    if not -values.dim() <= axis < values.dim() or values.shape[axis] < 2:
        return False
    values = values.detach().float()
    if not bool(((values >= 0) & (values <= 1 + tolerance)).all()):
        return False
    return bool(((values.sum(axis) - 1).abs() < tolerance + 2e-3 * (values.shape[axis] > 100)).all())


def is_log_distribution(values: Tensor, axis: int, *, tolerance: float = 2e-2) -> bool:
    """Whether values are logarithms of numbers that sum to 1 along an axis (nearly: a small constant may be within)."""
    if not values.is_floating_point() or not -values.dim() <= axis < values.dim():
        return False
    values = values.detach().float()
    return bool((values <= tolerance).all()) and bool((values.logsumexp(axis).abs() < tolerance).all())


def axis_of(op: Op, position: int = 1) -> int | None:
    """The axis that a softmax-like op works along."""
    dim = op.argument(position, "dim", op.kwargs.get("axis"))
    given = next((one for one in op.inputs), None)
    if given is None:
        return None
    if isinstance(dim, (list, tuple)) and len(dim) == 1:
        dim = dim[0]
    if isinstance(dim, int):
        return dim % given.dim() if given.dim() else None
    if dim is None and op.name in ("softmax", "softmin", "log_softmax"):
        return 0 if given.dim() in (0, 1, 3) else 1
    return None


def is_sigmoid_of(scene: Scene, tensor: Tensor) -> Op | None:
    """The op that made a tensor of sigmoids of another one: by name, or by the values where hand-written."""
    op = maker(scene, tensor)
    if op is None or op.name in SIGMOID:
        return op
    values = tensor.detach()
    if not values.is_floating_point() or op.name not in (
        "reciprocal",
        "__rdiv__",
        "__rtruediv__",
        "div",
        "__truediv__",
        "mul",
        "__mul__",
        "pow",
    ):
        return None
    if values.numel() < 2 or not bool(((values > 0) & (values < 1)).all()):
        return None
    logits = torch.logit(values.float().clamp(1e-6, 1 - 1e-6)).flatten()
    for before in scene.trace.behind([tensor])[-8:]:
        for one in before.inputs:
            fits = one.numel() == logits.numel() and one.is_floating_point()
            if fits and torch.allclose(one.detach().float().flatten(), logits, rtol=1e-3, atol=1e-3):
                return op
    return None


def line_of(scene: Scene, op: Op) -> Site | None:
    """The line a person would change: where an activation in a container of torch's was made, else its call."""
    within = [one for one in scene.trace.module_calls if one.start <= op.index < one.stop]
    within.sort(key=lambda one: one.stop - one.start)
    if within and type(within[0].module).__module__.startswith("torch."):
        outer = next((one for one in within[1:] if one.module is not within[0].module), None)
        if outer is None or type(outer.module).__module__.startswith("torch."):
            made = scene.session.modules.made_at(within[0].module)
            if made is not None and (outer is not None or made.function == "<module>"):
                return made
    return op.site


def line_of_cause(scene: Scene, cause: Op, effect: Op) -> Site | None:
    """The line of an op that should not come before another: its own, or the other's where a helper is shared.

    A helper of the script (``predict_proba``) may be right for what else it is used for: then the call is what is
    wrong.
    """
    if not cause.modules and cause.site and effect.site and cause.site.function != effect.site.function:
        return effect.site
    return line_of(scene, cause)
