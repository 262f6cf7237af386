"""`shape.mismatch` and `memory.out-of-memory`: what an exception of a torch function was about, in the user's terms.

Not here: shapes that are accepted and wrong (`shape.*`, `loss.broadcast`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from mlkit.debug.facts import ErrorFacts, Facts
from mlkit.debug.findings import Evidence, Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

_SHAPE_WORDS = (
    *("shape", "size", "dimension", "dtype", "dim ", "Expected", "expected", "must match", "same device", "channels"),
    *("scalar type", "broadcast", "elements", "rank", "invalid for input", "not implemented for"),
    *("out of bounds", "out of range", "must be equal to input_size"),
)


@rule("shape.mismatch")
def check(facts: Facts) -> Iterator[Finding]:
    """Shapes, dtypes or devices that cannot be combined: which layer, which dimension, and what would fit.

    Torch names the failing operation in its own terms (``mat1 and mat2``). Here the layer is named as the model names
    it, with the shapes on the way to it, what it was built for, what it got, and the change that makes the two agree.

    Buggy::

        self.fc = nn.Linear(16 * 5 * 5, 64)     # the convolutions leave 16 * 4 * 4
        loss = F.cross_entropy(logits, labels)  # labels are float32

    Fixed::

        self.fc = nn.Linear(16 * 4 * 4, 64)
        loss = F.cross_entropy(logits, labels.long())
    """
    error = facts.error
    if error is None or error.op is None or error.memory or not any(word in error.message for word in _SHAPE_WORDS):
        return
    message, fix, site = _explain(error)
    given = ", ".join(f"{dtype} {shape}" for dtype, shape in error.inputs)
    way = [f"{name} ({kind}): {given_to} → {out}" for name, kind, given_to, out in error.shapes[-6:]]
    evidence: Evidence = {"operation": error.op, "given": given}
    if error.module:
        evidence["layer"] = f"{error.module}: {error.module_kind}({error.module_settings})"
    if way:
        evidence["on the way"] = way
    yield Finding(
        "shape.mismatch",
        message,
        site=site,
        evidence=evidence,
        mechanism=f"{error.kind}: {error.message.splitlines()[0][:200]}",
        fix=fix,
        confidence=0.97,
        explains=("model.unused-module",),
    )


def _explain(error: ErrorFacts) -> tuple[str, str, Site | None]:
    """What is wrong, what would fit, and where to change it."""
    for attempt in (
        _index,
        _dtype,
        _device,
        _linear,
        _convolution,
        _recurrent,
        _normalisation,
        _loss,
        _joined,
        _viewed,
    ):
        found = attempt(error)
        if found is not None:
            return found
    layer = f" in {error.module}" if error.module else ""
    shapes = " and ".join(str(shape) for _, shape in error.inputs) or "its arguments"
    return f"{error.op}{layer} cannot combine {shapes}", "make the shapes agree before this line", error.site


def _setting(error: ErrorFacts, name: str) -> int | None:
    match = re.search(rf"\b{name}=(\d+)", error.module_settings)
    return int(match[1]) if match else None


Explained = tuple[str, str, Site | None] | None


def _index(error: ErrorFacts) -> Explained:
    if error.op != "embedding" or "out of range" not in error.message:
        return None
    match = re.match(r"(\d+)", error.module_settings)
    rows = match[1] if match else "fewer"
    return (
        f"{error.module or 'the embedding'} has {rows} rows and was asked for row {error.highest}",
        f"num_embeddings of at least {(error.highest or 0) + 1}, or indices that start at 0",
        error.module_site or error.site,
    )


def _dtype(error: ErrorFacts) -> Explained:
    text = error.message
    is_dtype = any(word in text for word in ("dtype", "scalar type", "Input type", "not implemented for"))
    is_class_target = "floating point type for target" in text
    if not (is_dtype or is_class_target) or not error.inputs:
        return None
    kinds = [dtype for dtype, _ in error.inputs]
    where = f"{error.module} ({error.module_kind})" if error.module_kind else error.op
    if error.op in ("cross_entropy", "nll_loss") and len(error.inputs) > 1:
        want = "class indices of dtype int64"
        return (
            f"the labels are {kinds[1]} where {error.op} needs {want}",
            "labels = labels.long()   # where the labels are made, or before the loss",
            error.site,
        )
    if error.op == "embedding":
        return f"{where} needs integer indices and got {kinds[0]}", "x = x.long()", error.site
    if error.op is not None and "binary_cross_entropy" in error.op and len(kinds) > 1:
        return f"the targets of {error.op} are {kinds[1]}, and have to be floats", "target = target.float()", error.site
    return (
        f"{where} got {' and '.join(dict.fromkeys(kinds))}, which is not the dtype of its weights or other argument",
        "x = x.float()   # where the data is made, or before this call",
        error.site,
    )


def _device(error: ErrorFacts) -> Explained:
    if "same device" not in error.message:
        return None
    where = f"{error.module} and its input" if error.module else "the arguments"
    return f"{where} are on different devices", "x = x.to(device)   # and model.to(device), once", error.site


def _linear(error: ErrorFacts) -> Explained:
    wanted = _setting(error, "in_features")
    if error.module_kind != "Linear" or wanted is None or not error.inputs:
        return None
    shape = error.inputs[0][1]
    name, out = error.module, _setting(error, "out_features")
    if not shape:
        return None
    if len(shape) > 2 and math.prod(shape[1:]) == wanted:
        return (
            f"{name} was built for {wanted} features and got {shape}, which is not flattened",
            f"x = x.flatten(1)   # {shape} → ({shape[0]}, {wanted}), before {name}",
            error.site,
        )
    if wanted in shape[1:-1]:
        axis = shape.index(wanted, 1)
        return (
            f"{name} was built for {wanted} features, which stand on axis {axis} of {shape} and not on the last",
            f"x = x.transpose({axis}, -1)",
            error.site,
        )
    return (
        f"{name} was built for {wanted} features and gets {shape[-1]}",
        f"nn.Linear({shape[-1]}, {out})   # in_features={shape[-1]}, or change what comes before it",
        error.module_site or error.site,
    )


def _convolution(error: ErrorFacts) -> Explained:
    if not error.module_kind or "Conv" not in error.module_kind or not error.inputs:
        return None
    settings = error.module_settings.split(",")
    channels = int(settings[0]) if settings[0].strip().isdigit() else None
    shape, axes = error.inputs[0][1], int(re.sub(r"\D", "", error.module_kind) or 2)
    if channels is None:
        return None
    if len(shape) < axes + 1 or (len(shape) == axes + 1 and shape[0] != channels):
        return (
            f"{error.module} needs (batch, {channels}, …) and got {shape}: an axis is missing",
            "x = x.unsqueeze(1)   # a channel axis; unsqueeze(0) for a batch axis",
            error.site,
        )
    if len(shape) == axes + 2 and shape[-1] == channels and shape[1] != channels:
        order = ", ".join(str(one) for one in (0, axes + 1, *range(1, axes + 1)))
        return (
            f"{error.module} needs channels first and got {shape}, with the {channels} channels last",
            f"x = x.permute({order})",
            error.site,
        )
    got = shape[1] if len(shape) == axes + 2 else shape[0]
    if got != channels:
        return (
            f"{error.module} was built for {channels} channels and gets {got}",
            f"in_channels={got} for {error.module}, or change what comes before it",
            error.module_site or error.site,
        )
    return (
        f"{error.module} cannot be applied to {shape}: {error.message.splitlines()[0]}",
        "a larger input, smaller kernel, or padding",
        error.site,
    )


def _recurrent(error: ErrorFacts) -> Explained:
    if error.module_kind not in ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell") or not error.inputs:
        return None
    match = re.search(r"Expected hidden\S* size (.*?), got (.*)", error.message)
    if match:
        return (
            f"{error.module} needs a state of shape {match[1]} and was given {match[2].strip('.')}",
            "state = torch.zeros(layers * directions, batch, hidden_size)   # the batch of this very input",
            error.site,
        )
    wanted = re.match(r"(\d+)", error.module_settings)
    shape = error.inputs[0][1]
    if wanted and shape and shape[-1] != int(wanted[1]):
        return (
            f"{error.module} was built for inputs of size {wanted[1]} and gets {shape[-1]}",
            f"input_size={shape[-1]}, or change what comes before it",
            error.module_site or error.site,
        )
    return None


def _normalisation(error: ErrorFacts) -> Explained:
    if not error.module_kind or "Norm" not in error.module_kind or not error.inputs:
        return None
    shape = error.inputs[0][1]
    built = error.module_settings.split(", eps")[0]
    got = shape[-1] if error.module_kind == "LayerNorm" else shape[1] if len(shape) > 1 else None
    return (
        f"{error.module} was built for {built} features and gets {got} in {shape}",
        f"{error.module_kind}({got}), or change what comes before it",
        error.module_site or error.site,
    )


def _loss(error: ErrorFacts) -> Explained:
    is_loss = error.op is not None and ("loss" in error.op or "cross_entropy" in error.op)
    if not is_loss or len(error.inputs) < 2:
        return None
    (_, prediction), (_, target) = error.inputs[:2]
    if "out of bounds" in error.message:
        return (
            f"a label is not among the {prediction[1] if len(prediction) > 1 else 0} classes of the prediction "
            f"{prediction}: {error.message}",
            "labels from 0 to classes - 1, and as many outputs as classes",
            error.site,
        )
    if prediction and target and prediction[0] != target[0]:
        why = f"{prediction[0]} predictions and {target[0]} targets"
    else:
        why = f"predictions of shape {prediction} and targets of shape {target}"
    fix = "predictions (N, C) and class indices (N,)" if error.op == "cross_entropy" else "one shape for both"
    return f"{error.op} got {why}", fix, error.site


def _joined(error: ErrorFacts) -> Explained:
    if error.op not in ("cat", "concat", "stack", "concatenate") or len(error.inputs) < 2:
        return None
    shapes = [shape for _, shape in error.inputs]
    ranks = {len(shape) for shape in shapes}
    if len(ranks) > 1:
        return f"{error.op} got tensors of different rank: {shapes}", "x.unsqueeze(…) for the smaller", error.site
    match = re.search(r"in dimension (\d+)|dimension (\d+)", error.message)
    off = [axis for axis in range(len(shapes[0])) if len({shape[axis] for shape in shapes}) > 1]
    return (
        f"{error.op} cannot join {' and '.join(map(str, shapes))}: they differ on axis "
        f"{', '.join(map(str, off)) or (match[1] if match else '?')}",
        "F.interpolate(x, size=skip.shape[-2:]), crop or pad, so that only the joined axis differs",
        error.site,
    )


def _viewed(error: ErrorFacts) -> Explained:
    match = re.search(r"shape '(\[.*?\])' is invalid for input of size (\d+)", error.message)
    if match and error.inputs:
        shape = error.inputs[0][1]
        return (
            f"{shape} has {match[2]} values, which cannot be viewed as {match[1]}",
            f"x.flatten(1) gives ({shape[0] if shape else 1}, {math.prod(shape[1:])})",
            error.site,
        )
    match = re.search(
        r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\).*dimension (\d+)", error.message
    )
    if match and len(error.inputs) > 1:
        shapes = " and ".join(str(shape) for _, shape in error.inputs[:2])
        return (
            f"{error.op} cannot combine {shapes}: axis {match[3]} is {match[1]} in one and {match[2]} in the other",
            f"make axis {match[3]} agree, or of size 1 in one of them",
            error.site,
        )
    return None


@rule("memory.out-of-memory")
def out_of_memory(facts: Facts) -> Iterator[Finding]:
    """The memory of the device does not hold the step: what takes it, and the first change that makes it fit.

    Most of a training step's memory is usually the outputs of modules that backward needs; they grow with the batch.
    Weights, gradients and optimiser state do not.

    Buggy::

        loader = DataLoader(data, batch_size=4096)

    Fixed::

        loader = DataLoader(data, batch_size=512)   # and accumulate 8 of them for the same gradient
    """
    error = facts.error
    if error is None or not error.memory:
        return
    sizes = dict(error.memory)
    fixed = {"weights", "gradients", "optimiser state"}
    outputs = sum(size for what, size in sizes.items() if what not in fixed)
    grows = outputs >= sum(size for what, size in sizes.items() if what in fixed)
    yield Finding(
        "memory.out-of-memory",
        f"memory ran out in {error.module or error.op or 'this line'}: the largest part is {error.memory[0][0]}",
        site=error.site,
        evidence={what: f"{size / 2**20:.1f} MiB" for what, size in error.memory[:6]},
        mechanism=error.message.splitlines()[0][:200] if error.message else error.kind,
        fix="half the batch size, with two batches accumulated per step"
        if grows
        else "weights and optimiser state dominate: bfloat16, SGD in place of Adam, or a smaller model",
        confidence=0.95,
    )
