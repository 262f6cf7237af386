"""The constants at which losses stop: the height of a plateau names its cause.

Not here: whether a curve is a plateau at all (`mlkit.debug.overfit.verdict`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from mlkit.debug.overfit.yardstick import Yardstick


@dataclass(frozen=True)
class Height:
    """A value at which a loss may stop, and what stopping there says."""

    name: str
    value: float
    says: str


def heights(stick: Yardstick | None, targets: Tensor, *, score: float = 1.0) -> tuple[Height, ...]:
    """The named constants of a batch, the most telling first.

    Args:
        stick: of the batch, for its classes and their shares.
        targets: of the batch.
        score: at the end; each example that is still wrong adds 1 to the loss of probabilities taken for logits, and
            0.38 or 0.62 to that of one taken for a logit.

    Source: cross-entropy of the best constant answer is the entropy of the labels; of probabilities taken for logits at
    best ``ln(1 + (C - 1) / e)``, since a softmax of a one-hot vector gives ``e / (e + C - 1)``.

    >>> import torch
    >>> from mlkit.debug.overfit.yardstick import yardstick_for
    >>> y = torch.tensor([0, 1, 2, 3])
    >>> [(one.name, round(one.value, 3)) for one in heights(yardstick_for(torch.zeros(4, 4), y), y)]
    [('ln C', 1.386), ('ln(1 + (C - 1) / e)', 0.744), ('-1', -1.0)]
    """
    if stick is None:
        return ()
    found: list[Height] = []
    if stick.kind == "numbers":
        values = targets.float()
        variance = float((values - values.mean(0)).square().mean())
        distance = float(
            (values - values.reshape(len(values), -1).median(0).values.reshape(values.shape[1:])).abs().mean()
        )
        says = "the output is one number for every input"
        return (
            Height("the variance of the targets", variance, says),
            Height("the mean distance of the targets from their median", distance, says),
            Height("the mean square of the targets", float(values.square().mean()), "the output stays at zero"),
        )
    entropy = -sum(share * math.log(share) for share in stick.shares if share > 0)
    even = math.log(stick.classes)
    nothing = "the answer is the same for every input: only how frequent the classes are was learned"
    if entropy < even - 0.01:
        found.append(Height("the entropy of the labels", entropy, nothing))
    if stick.kind == "classes":
        found.append(Height("ln C", even, "all classes get the same probability: nothing was learned"))
        floor = math.log1p((stick.classes - 1) / math.e) + (1 - score)
        found.append(
            Height("ln(1 + (C - 1) / e)", floor, "probabilities are taken for logits: softmax is applied twice")
        )
        found.append(Height("-1", -score, "probabilities are taken for log-probabilities"))
    else:
        found.append(Height("ln 2", even, "every answer is one half: nothing was learned"))
        zeros, ones = stick.shares
        floor = zeros * even + ones * math.log1p(math.exp(-1)) + 0.5 * (1 - score)
        found.append(Height("ln 2 for every 0 and ln(1 + 1/e) for every 1", floor, "a sigmoid is applied twice"))
    return tuple(found)


def named(value: float, among: tuple[Height, ...], *, noise: float) -> Height | None:
    """The constant that a loss stopped at: within a hundredth, or three times its own noise, of it."""

    def reach(one: Height) -> float:
        return max(0.01 * abs(one.value), min(3 * noise, 0.03 * abs(one.value)))

    near = [one for one in among if abs(value - one.value) <= reach(one)]
    return min(near, key=lambda one: abs(value - one.value), default=None)
