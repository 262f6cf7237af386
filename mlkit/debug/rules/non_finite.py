"""`numeric.non-finite-loss`, `numeric.non-finite-gradient`, `numeric.half-precision-range`: who made the first NaN.

Not here: numbers that grow step by step until they overflow (the learning-rate rules).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Evidence, Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule

# Functions that are not finite, or have no finite slope, at the border of their domain: what it is, and the cure.
BORDERS: dict[str, tuple[str, str]] = {
    "sqrt": ("the slope of a square root at 0 is infinite", "(x + 1e-8).sqrt()   # inside the root"),
    "norm": ("the slope of a norm at 0 is not defined", "(x.square().sum(-1) + 1e-8).sqrt()"),
    "vector_norm": ("the slope of a norm at 0 is not defined", "(x.square().sum(-1) + 1e-8).sqrt()"),
    "log": ("the logarithm of 0 is minus infinity", "F.log_softmax / F.logsigmoid, or x.clamp(min=1e-8).log()"),
    "log2": ("the logarithm of 0 is minus infinity", "x.clamp(min=1e-8).log2()"),
    "log1p": ("the logarithm of 0 is minus infinity", "F.logsigmoid, or clamp before"),
    "div": ("a division by 0", "x / n.clamp(min=1e-8)   # a safe denominator, before any where()"),
    "reciprocal": ("a division by 0", "x / n.clamp(min=1e-8)"),
    "pow": ("a power whose value or slope is infinite at 0", "x.clamp(min=1e-8) ** p"),
    "exp": ("an exponential beyond the largest number", "F.softmax, torch.logsumexp, or x.clamp(max=30).exp()"),
    "acos": ("the slope of acos at ±1 is infinite", "x.clamp(-1 + 1e-6, 1 - 1e-6).acos()"),
    "asin": ("the slope of asin at ±1 is infinite", "x.clamp(-1 + 1e-6, 1 - 1e-6).asin()"),
    "atan2": ("atan2 has no slope at (0, 0)", "an epsilon added to both arguments"),
    "std": ("the slope of a standard deviation of equal values is infinite", "(x.var(0) + 1e-8).sqrt()"),
    "softmax": ("a softmax over values of which all are minus infinity", "at least one unmasked position in each row"),
    "cdist": ("the slope of a distance at 0 is not defined", "squared distances, or an epsilon inside the root"),
    "where": ("where() passes NaN from the branch that is not taken", "make the denominator safe before dividing"),
}
_ALIASES = {
    **dict.fromkeys(("truediv", "__truediv__", "true_divide", "divide", "__rtruediv__", "__div__", "div_"), "div"),
    **dict.fromkeys(("rsqrt", "sqrt_"), "sqrt"),
    **dict.fromkeys(("__pow__", "__rpow__"), "pow"),
    **dict.fromkeys(("linalg_norm", "frobenius_norm", "linalg_vector_norm"), "norm"),
    **dict.fromkeys(("_softmax", "log_softmax"), "softmax"),
    "var": "std",
    "log_": "log",
    "log10": "log2",
    "exp_": "exp",
    "pairwise_distance": "cdist",
    "arccos": "acos",
}
MODERATE = 1e4
"""Inputs up to here did not grow step by step: then the op itself is at fault."""


@rule("numeric.non-finite-loss", "numeric.non-finite-gradient", "numeric.half-precision-range", "data.non-finite")
def check(facts: Facts) -> Iterator[Finding]:
    """A number became NaN or infinite: the op that made it first, in the forward pass or in a gradient.

    A loss that is NaN says nothing about where it comes from. The program is repeated from its first step in a copy,
    the step before is traced, and the first op is named that gets finite numbers and returns others; in a gradient it
    is the op whose incoming gradient is finite and whose outgoing one is not. Typical: ``sqrt`` or ``norm`` at 0
    (forward finite, slope infinite), ``log`` of a probability that is exactly 0, a division within the branch of a
    ``where`` that is not taken, and constants such as 1e-8 or -1e9 that half precision cannot hold.

    Where the inputs of that op had grown beyond all measure before, the op is not the cause: the finding is a warning
    and stands behind a learning rate that is too high.

    Buggy::

        distance = (a - b).square().sum(-1).sqrt()
        ratio = torch.where(n == 0, 0.0, x / n)

    Fixed::

        distance = ((a - b).square().sum(-1) + 1e-8).sqrt()
        ratio = torch.where(n == 0, 0.0, x / n.clamp(min=1))

    Seen in: pytorch/pytorch#2421, #16317; mpariente/pytorch_stoi#7; richzhang/PerceptualSimilarity#69; NVIDIA/apex#93;
    rwightman/efficientdet-pytorch#291; kornia/kornia#367.
    """
    found = facts.trials.get("locate") or _at_once(facts)
    if found:
        yield _located(facts, found)
        return
    first = next(((step, value) for step, value in facts.losses if not math.isfinite(value)), None)
    bad = next((step for step in facts.steps if step.non_finite), None)
    if bad is not None:
        names = [facts.parameters[key].name for key in bad.non_finite if key in facts.parameters][:4]
        yield Finding(
            "numeric.non-finite-gradient",
            f"a gradient is NaN or infinite at step {bad.step}",
            site=bad.site,
            evidence={"step": bad.step, "parameters": names},
            confidence=0.5,
        )
    elif first is not None:
        site = next((one.site for one in facts.backwards if one.value is not None), None)
        yield Finding(
            "numeric.non-finite-loss",
            f"the loss is {first[1]} from step {first[0]} on",
            severity="warning",
            site=site,
            evidence={"step": first[0]},
            confidence=0.5,
        )


def _at_once(facts: Facts) -> Mapping[str, object]:
    return next((found for _, found in scenes(facts, "finite") if found), {})


def _located(facts: Facts, found: Mapping[str, Any]) -> Finding:
    name = _ALIASES.get(found["op"], found["op"])
    is_gradient = found["direction"] == "backward"
    low, high = found["input_min"], found["input_max"]
    is_data = bool(found.get("is_data")) and not is_gradient
    has_grown = low is not None and max(abs(low), abs(high)) > MODERATE and not found["is_half"]
    is_half = found["is_half"] or found["from_half"]
    why, fix = BORDERS.get(name, ("its result is not finite", "keep its arguments away from where it is not finite"))
    if is_half:
        code = "numeric.half-precision-range"
        fix = "x.float() before this op   # or a larger epsilon: bfloat16 rounds at 0.4 %, float16 ends at 65504"
    elif is_data:
        code = "data.non-finite"
    else:
        code = "numeric.non-finite-gradient" if is_gradient else "numeric.non-finite-loss"
    what = "the gradient of" if is_gradient else ""
    where = f" in {found['module']}" if found["module"] else ""
    evidence: Evidence = {
        "op": found["op"],
        "smallest input": low,
        "largest input": high,
        "zeros among them": found["zeros"],
    }
    step = next((step for step, value in facts.losses if not math.isfinite(value)), None)
    if step is not None:
        evidence["first non-finite loss before step"] = step
    half = "; half precision holds no such value" if is_half else ""
    if is_data:
        why += ", while the data are prepared"
    return Finding(
        code,
        f"{what} {found['op']}{where} is not finite, the first of all numbers: {why}{half}".strip(),
        severity="warning" if has_grown else "error",
        site=found["site"],
        evidence=evidence,
        mechanism=f"{why} → "
        + ("the forward pass is finite, one backward makes every weight NaN" if is_gradient else "NaN reaches the loss")
        + " → all later losses are NaN",
        fix=fix,
        confidence=0.4 if has_grown else 0.97,
        explains=("numeric.*", "step.learning-rate-too-high", "step.oscillating", "loss.starts-far-from-chance")
        if not has_grown
        else (),
    )
