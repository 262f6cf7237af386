"""`step.accumulation-unscaled`: accumulated gradients are not those of the joined batch."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import BackwardFacts, Facts, StepFacts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.symptom import is_adversarial, symptom_of

# Their steps do not depend on the scale of the gradient, so a factor is only felt through clipping.
_SCALE_FREE = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Rprop", "SparseAdam")


@rule("step.accumulation-unscaled")
def check(facts: Facts) -> Iterator[Finding]:
    """The gradients of several micro-batches are added up without being what one large batch would give.

    Backward on the mean of each of k micro-batches adds k means: a gradient k times that of the joined batch, and a
    step k times as long. With SGD that is a learning rate k times too high; with Adam it is only felt through clipping
    and weight decay. The other form loses data: the micro-batches after the last full window of an epoch are cleared.

    Proof: k backward calls of one line on k batches of one loader between two steps, and the factor with which a
    micro-batch's mean enters the loss is 1, not 1/k; or a clear between them while gradients of this window are there.

    Buggy::

        for x, y in islice(batches, 8):
            criterion(model(x), y).backward()
        optimizer.step()

    Fixed::

        for x, y in islice(batches, 8):
            (criterion(model(x), y) / 8).backward()
        optimizer.step()

    Healthy look-alikes: several losses of one batch, tasks with loaders of their own, losses that are sums, and two
    adversaries; a window divided by its length.

    Seen in: ByteDance-Seed/VeOmni#963; karpathy/nanoGPT#206; huggingface/transformers#34191;
    ultralytics/ultralytics#11217.
    """
    if is_adversarial(facts) or len(curves.optimizers(facts)) != 1 or not facts.steps:
        return
    window = _window(facts)
    if window < 2:
        return
    yield from _unscaled(facts, window)
    yield from _dropped(facts, window)


def _window(facts: Facts) -> int:
    """Backward calls a step, where most steps agree, all from one line; else 0."""
    steps = [one for one in facts.steps if one.backwards]
    if len(steps) < 2:
        return 0
    count, often = Counter(one.backwards for one in steps).most_common(1)[0]
    places = {(one.site, one.stack) for one in facts.backwards}
    if count < 2 or often < 0.4 * len(steps) or len(places) != 1:
        return 0
    models = [one for one in facts.calls if one.led_to_backward and one.step == steps[0].step]
    often_called = Counter(one.model_key for one in models)
    if any(one.repeats for one in models) or any(times % steps[0].backwards for times in often_called.values()):
        return 0  # several losses of one batch, or of several tasks, not several batches
    loaders = {one.loader for one in facts.calls if one.led_to_backward}
    return count if len(loaders) <= 1 else 0


def _unscaled(facts: Facts, window: int) -> Iterator[Finding]:
    told = facts.probe("train/reduction")
    weight, kind = told.get("weight"), told.get("kind")
    if (
        not isinstance(weight, float)
        or not 0.5 < abs(weight) < 2.0
        or kind not in ("mean", "sum")
        or told.get("count") != 1
    ):
        return
    if kind == "sum" and told.get("rows") == 1:
        return
    optimizer = curves.optimizers(facts)[0]
    clipped = any(norm > limit for step in facts.steps for _, limit, norm, after in step.clipped if after)
    is_felt = optimizer.kind not in _SCALE_FREE or clipped
    if window <= 3 and symptom_of(facts) == "falls":
        is_felt = False  # two or three may as well be tasks, whose losses are meant to be added up
    if told.get("rows") == 1 and window >= 2 and not clipped and symptom_of(facts) == "falls":
        return  # one sample at a time: a sum over the samples is a choice like another
    backward = _backward(facts)
    symptom = symptom_of(facts)
    yield Finding(
        "step.accumulation-unscaled",
        f"the gradients of {window} micro-batches are added up, each with its full weight: "
        f"the step is {window} times that of the joined batch",
        severity="error" if symptom in ("explodes", "goes-up") and is_felt else "warning" if is_felt else "info",
        site=backward.site if backward else None,
        evidence={
            "backward calls a step": window,
            "weight of a micro-batch's mean in the loss": round(abs(weight), 4),
            "weight that makes a mean of the window": round(1 / window, 4),
            "optimiser": optimizer.kind,
        },
        mechanism=f"backward adds up {window} means → the gradient is {window} times that of their mean → "
        + (
            "steps overshoot"
            if is_felt
            else f"{optimizer.kind} hides it, until gradients are clipped or the window changes"
        ),
        fix=f"(loss / {window}).backward()",
        confidence=0.95,
        explains=(
            "step.learning-rate-too-high",
            "step.oscillating",
            "numeric.exploding-gradient",
            "step.clipping-ineffective",
        ),
    )


def _dropped(facts: Facts, window: int) -> Iterator[Finding]:
    """Micro-batches that were accumulated and cleared without a step."""
    lost: list[tuple[StepFacts, int, int]] = []
    for step in facts.steps:
        for at, count in enumerate(step.cleared_after):
            if 0 < count < step.backwards and count < window and step.backwards - count >= window:
                lost.append((step, count, at))
    if lost:
        counts = [count for _, count, _ in lost]
        step, _, at = lost[0]
        site = step.site or step.cleared_sites[at][0]  # the step is what comes too seldom
        often = len(lost) / len(facts.steps)
        if often > 0.8 and window > 1:
            return
        yield _loss_of_data(site, round(statistics.median(counts)), window, len(lost), len(facts.steps), 0.95)


def _loss_of_data(site: object, count: int, window: int, times: int, steps: int, confidence: float) -> Finding:
    from mlkit.debug.sites import Site

    return Finding(
        "step.accumulation-unscaled",
        f"the last {count} micro-batches before each clear are thrown away: they do not fill a window of {window}, "
        "so no step uses them",
        severity="warning",
        site=site if isinstance(site, Site) else None,
        evidence={
            "micro-batches a window": window,
            "micro-batches thrown away": count,
            "times within the steps looked at": times,
            "steps looked at": steps,
        },
        mechanism="the number of batches is no multiple of the window → what is left over is cleared before a step → "
        "data and time are lost in every epoch",
        fix="step at the last batch as well: if (i + 1) % window == 0 or i + 1 == len(loader)   # by its own length",
        confidence=confidence,
        explains=("step.gradients-cleared-too-soon",),
    )


def _backward(facts: Facts) -> BackwardFacts | None:
    return facts.backwards[0] if facts.backwards else None
