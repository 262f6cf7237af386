"""`mode.batchnorm-tiny-batch`, `mode.frozen-statistics-drift`, `mode.dropout-too-high`: settings of single modules.

Not here: the mode in which a whole model is trained or evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import entries
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

TINY = 2
HIGH = 0.75
"""Drop rates from here on: published recipes stay at 0.5 or below for hidden layers, a keep rate is 0.8 or 0.9."""


def _modules(facts: Facts) -> list[dict[str, Any]]:
    found = entries(facts, "mode-modules", "modules")
    return list({(one["name"], one["phase"]): one for one in found}.values())


@rule("mode.batchnorm-tiny-batch")
def tiny_batch(facts: Facts) -> Iterator[Finding]:
    """BatchNorm gets batches of one or two samples: its statistics are noise.

    Each sample is normalised by itself and at most one other, so training sees another function than evaluation, which
    uses the average of many such statistics. A batch can be overfitted in training mode while the same batch is
    terrible in evaluation mode.

    Buggy::

        loader = DataLoader(data, batch_size=2)   # and BatchNorm in the model

    Fixed::

        loader = DataLoader(data, batch_size=32)  # or GroupNorm, which does not look at the batch

    Healthy look-alikes: a last, smaller batch; BatchNorm in evaluation mode.

    Seen in: pytorch/pytorch#4741, #5406; BCV-Uniandes/DMS#30; Lightning-AI/pytorch-lightning#14085.
    """
    norms = [one for one in _modules(facts) if one["is_norm"] and one["training"]]
    sizes = [one.batch for one in facts.calls if one.led_to_backward and one.training and one.batch]
    if not norms or len(sizes) < 2 or median(sizes) > TINY:
        return
    loaders = [one for one in facts.loaders.values() if one.role == "train" and (one.batch_size or 99) <= TINY]
    call = next((one.site for one in facts.calls if one.led_to_backward), None)
    yield Finding(
        "mode.batchnorm-tiny-batch",
        f"BatchNorm is trained with batches of {int(median(sizes))}: its statistics are noise, not those of evaluation",
        severity="warning",
        site=(loaders[0].site if loaders else None) or norms[0]["site"] or call,
        evidence={"median batch": int(median(sizes)), "BatchNorm modules": len(norms)},
        mechanism="mean and variance of one or two samples → training normalises by noise, evaluation by an average → "
        "a large gap between the two modes on the same data",
        fix="a batch size of 16 or more, or nn.GroupNorm in place of BatchNorm",
        confidence=0.85,
    )


@rule("mode.frozen-statistics-drift")
def drift(facts: Facts) -> Iterator[Finding]:
    """A frozen module's running statistics still move: BatchNorm in training mode updates them whatever is frozen.

    ``requires_grad = False`` stops the weights, not the buffers. In training mode each batch moves the running mean
    and variance, and normalises by the batch, so the features of the "frozen" part change.

    Buggy::

        for p in model.backbone.parameters():
            p.requires_grad = False
        model.train()

    Fixed::

        model.train()
        model.backbone.eval()

    Healthy look-alikes: a discriminator that is frozen only while the generator steps (its weights move elsewhere).

    Seen in: pytorch/pytorch#86590, #9046; lightly-ai/lightly#1438; tianweiy/CenterPoint#168.
    """
    frozen = []
    for one in _modules(facts):
        later = [start for start in facts.phases if start > one["phase"]]
        steps = [step for step in facts.steps if one["phase"] <= step.step < min(later, default=1 << 60)]
        moved = {key for step in steps for key, size in step.updates.items() if size > 0}
        is_still = bool(moved) and not moved & set(one["parameters"])
        if one["is_norm"] and one["frozen"] and one["training"] and one["tracks"] and is_still:
            frozen.append(one)
    if not frozen:
        return
    yield Finding(
        "mode.frozen-statistics-drift",
        f"{frozen[0]['name']} is frozen but in training mode: its running statistics change with every batch",
        site=_train_call(facts) or frozen[0]["call"],
        evidence={"frozen BatchNorm modules in training mode": len(frozen)},
        mechanism="requires_grad=False does not stop buffers → running mean and variance follow the new data → the "
        "frozen features drift",
        fix="model.train()\nmodel.backbone.eval()   # the frozen part, after every train()",
        confidence=0.95,
    )


def _train_call(facts: Facts) -> Site | None:
    return next((one.site for one in reversed(facts.modes) if one.training), None)


@rule("mode.dropout-too-high")
def too_high(facts: Facts) -> Iterator[Finding]:
    """A drop rate that looks like a keep rate: most of the signal is thrown away in training.

    In PyTorch ``p`` is the share that is *dropped*; in older TensorFlow it was the share kept. With 0.8 or 0.9 the
    network cannot fit even one batch, and the training loss lies far above the evaluation loss of the same data.

    Buggy::

        nn.Dropout(0.9)

    Fixed::

        nn.Dropout(0.1)

    Healthy look-alikes: rates up to 0.7.

    Seen in: the UMLAUT study's program A (three layers of 0.8); Stack Overflow 44832497.
    """
    high = [one for one in _modules(facts) if not one["is_norm"] and one["training"] and HIGH <= one["p"] < 1.0]
    functional = facts.probe("train/mode-modules").get("functional")
    calls = (
        [one for one in functional if one["training"] and HIGH <= one["p"] < 1.0]
        if isinstance(functional, list)
        else []
    )
    if not high and not calls:
        return
    rate = high[0]["p"] if high else calls[0]["p"]
    # F.dropout is called within nn.Dropout too: the user's line is then the call, the place to change the construction.
    site = (high[0]["site"] if high else None) or (calls[0]["site"] if calls else None)
    yield Finding(
        "mode.dropout-too-high",
        f"dropout throws away {rate:.0%} of the values: p is the share that is dropped, not the share that is kept",
        severity="warning",
        site=site,
        evidence={"p": rate, "layers": max(len(high), len(calls))},
        mechanism="most of the signal is dropped in training → the network cannot fit even one batch → training loss "
        "far above the evaluation loss of the same data",
        fix=f"p = {1 - rate:.2g}",
        confidence=0.85,
    )
