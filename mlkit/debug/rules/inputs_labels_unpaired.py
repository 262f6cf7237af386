"""`data.inputs-labels-unpaired`: labels do not belong to their inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import place, rounded

NONE = 3.0


@rule("data.inputs-labels-unpaired")
def check(facts: Facts) -> Iterator[Finding]:
    """Labels do not belong to their inputs.

    Inputs and labels were put in order apart: file names sorted as text beside a list in numbered order, one array
    shuffled and the other not, a slice that starts one later. One batch can be memorised, and nothing is learned of new
    data: validation stays at chance.

    Measured: nothing in the inputs predicts their labels better than chance (nearest neighbours and a linear fit,
    on the inputs, their spectra and their order statistics). Proof: with the labels in another order that a slip
    makes (text order, one place off, reversed) they do. Without such an order: a guess, told only where the loss
    stays at chance too while the examples are new to the model.

    Buggy::

        files = sorted(folder.glob("rec_*.npy"))      # rec_0, rec_1, rec_10, rec_100 …

    Fixed::

        files = sorted(folder.glob("rec_*.npy"), key=lambda path: int(path.stem[4:]))

    Healthy look-alikes: tasks whose signal no simple probe sees; there the loss falls below chance in the first epoch.

    Seen in: mlcommons/GaNDLF#870; pytorch/vision#4209; Stack Overflow 40467990, 47866803.
    """
    signal, values = facts.probe("train/data-signal"), facts.probe("train/data-values")
    best, read = signal.get("best"), signal.get("read")
    if not isinstance(best, float) or not isinstance(read, int):
        return
    order = signal.get("order")
    mechanism = (
        "each input is trained towards another one's label → it can be memorised, not learned → validation at chance"
    )
    explains = ("step.learning-rate-too-low", "model.too-small", "data.class-order")
    if isinstance(order, str):
        yield Finding(
            "data.inputs-labels-unpaired",
            f"labels do not belong to their inputs: as stored nothing predicts them, with labels in {order} much does",
            severity="error",
            site=place(values.get("site")),
            evidence={
                "standard errors above chance, as stored": rounded(best, 3),
                "in the other order": rounded(signal.get("again"), 3),
                "examples read": read,
            },
            mechanism=mechanism,
            fix="put inputs and labels in order by one key: sorted(files, key=number), or store them together",
            confidence=0.97,
            explains=explains,
        )
        return
    if best >= NONE or read < 400 or not _stays_at_chance(facts, facts.probe("train/data-labels")):
        return
    yield Finding(
        "data.inputs-labels-unpaired",
        "labels may not belong to their inputs: nothing in the inputs predicts them, and the loss stays at chance",
        severity="warning",
        site=place(values.get("site")),
        evidence={"standard errors above chance": rounded(best, 3), "examples read": read},
        mechanism=mechanism,
        fix="look at some pairs: show input and label of ten examples, before and after every shuffle or sort",
        confidence=0.6,
        explains=explains,
    )


def _stays_at_chance(facts: Facts, labels: Mapping[str, object]) -> bool:
    """Whether the loss of the last part of the first epoch is that of the class shares alone."""
    counts, size = labels.get("counts"), labels.get("size")
    heads = facts.probe("train/heads")
    batch = heads.get("batch_size")
    if not isinstance(counts, list) or not isinstance(size, int) or not isinstance(batch, int) or not batch:
        return False
    total = sum(counts)
    chance = -sum(count / total * math.log(count / total) for count in counts if count)
    steps = size // batch
    first = [value for step, value in facts.losses if steps // 2 <= step < steps]
    late = [value for step, value in facts.losses if step >= steps]
    if len(first) < 5 or len(late) < 10:
        return False
    return bool(0.98 * chance < sum(first) / len(first) < 3 * chance)
