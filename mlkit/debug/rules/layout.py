"""`shape.layout-scrambled`, `shape.constant-attention`, `shape.softmax-axis`: axes that were confused within a sample.

Not here: samples that are mixed with each other (`samples_mixed`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import entries
from mlkit.debug.rules import rule


@rule("shape.layout-scrambled")
def scrambled(facts: Facts) -> Iterator[Finding]:
    """A view or reshape where a permute was needed: the values end up in other places than their axes say.

    ``view`` keeps the order of values in memory and only cuts it anew. From (H, W, C) to (C, H, W) that puts
    neighbouring pixels of all channels into one row: the picture is torn, though the shape is right. A network still
    overfits, but convolution and attention find no neighbours, and validation is clearly worse.

    Proof: the new shape has the old axes in another order, or its borders cut through the old axes; no split or merge
    of neighbouring axes does that. For images that arrive torn: along a row a pixel resembles the one as many places
    further as there are channels, more than its neighbour.

    Buggy::

        x = x.view(batch, channels, height, width)   # x is (batch, height, width, channels)

    Fixed::

        x = x.permute(0, 3, 1, 2)

    Seen in: fawazsammani/knowing-when-to-look-adaptive-attention#6; vitrioil/Speech-Separation#4.
    """
    for one in entries(facts, "layout", "torn"):
        is_sure = one["kind"] == "permuted"
        yield Finding(
            "shape.layout-scrambled",
            f"a reshape from {one['before']} to {one['after']} tears the axes apart: this needs a permute",
            severity="error" if is_sure else "warning",
            site=one["site"],
            evidence={"before": one["before"], "after": one["after"]},
            mechanism="view cuts the values anew without moving them → neighbours in space or time are no longer "
            "neighbours → the model can memorise but not generalise",
            fix="x.permute(…) or x.transpose(…) to the order of the new axes, then reshape",
            confidence=0.93 if is_sure else 0.75,
        )
    for one in entries(facts, "layout", "periods"):
        if one["at_channels"] > 0.3 and one["at_channels"] > one["nearer"] + 0.25:
            yield Finding(
                "shape.layout-scrambled",
                f"the images look torn: along a row a pixel resembles the one {one['channels']} places further "
                f"(correlation {one['at_channels']:.2f}) more than its neighbour ({one['nearer']:.2f})",
                severity="warning",
                site=next((call.site for call in facts.calls), None),
                evidence={"correlation at the number of channels": one["at_channels"], "nearer": one["nearer"]},
                mechanism="channels-last pixels were reshaped to channels-first → each row holds all channels in turn",
                fix="image.transpose(2, 0, 1)   # NumPy; x.permute(0, 3, 1, 2) in torch",
                confidence=0.8,
            )


@rule("shape.constant-attention")
def constant(facts: Facts) -> Iterator[Finding]:
    """A softmax inside the model runs over an axis of one element: it is the constant 1.

    Scores of shape (batch, time, 1) with a softmax over the last axis give every position the weight 1: attention is a
    plain sum, and the layer that makes the scores gets no gradient at all.

    Buggy::

        weights = scores.softmax(-1)   # scores are (batch, time, 1)

    Fixed::

        weights = scores.softmax(1)

    Seen in: DEEP-PolyU/KEQA_WSDM19#2; phanideepgampa/stacked-capsule-networks#5; catalyst-team/catalyst#285.
    """
    for one in entries(facts, "softmax-axes", "singles"):
        if one["is_final"]:
            continue  # the output itself: `loss.single-unit-softmax`
        yield Finding(
            "shape.constant-attention",
            f"softmax over an axis of one element ({one['shape']}, dim {one['dim']}) is the constant 1",
            site=one["site"],
            evidence={"shape": one["shape"], "dim": one["dim"]},
            mechanism="all weights are 1 → attention is a plain sum, and the scoring layer never gets a gradient",
            fix="softmax over the axis of positions, as scores.softmax(1) for (batch, time, 1)",
            confidence=0.97,
            explains=("step.*", "model.dead-units", "model.vanishing-gradient", "model.unused-module"),
        )


@rule("shape.softmax-axis")
def crossed(facts: Facts) -> Iterator[Finding]:
    """Attention weights are normalised over another axis than the one over which they are summed.

    Weights that multiply values and are summed over positions must sum to one over these positions. Normalised over
    queries, heads or features instead, the sum has no scale, and each query gets what others left.

    Buggy::

        weights = scores.softmax(1)   # (batch, queries, keys)
        out = weights @ values

    Fixed::

        weights = scores.softmax(-1)

    Healthy look-alikes: slot attention, which normalises over queries on purpose (it divides by the sum afterwards).

    Seen in: FudanNLP/fastNLP#254; labmlai/annotated_deep_learning_paper_implementations#146.
    """
    for one in entries(facts, "softmax-axes", "crossed"):
        yield Finding(
            "shape.softmax-axis",
            f"softmax over dim {one['dim']} of {one['shape']}, but the weights are summed over dim {one['summed']}",
            severity="warning",
            site=one["site"],
            evidence={"shape": one["shape"], "normalised over": one["dim"], "summed over": one["summed"]},
            mechanism="weights do not sum to one where they are summed → attention has no scale and mixes queries",
            fix=f"softmax(dim={one['summed']})",
            confidence=0.85,
        )
