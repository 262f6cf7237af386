"""`data.augmentation-lost`: a configured random augmentation never varies."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import part, place


@rule("data.augmentation-lost")
def check(facts: Facts) -> Iterator[Finding]:
    """A random augmentation that was configured never happens.

    Two subsets share one data set object: setting the validation transform on it takes the training one away. Or a
    transform is applied once, and its result kept. Training overfits sooner than it should, silently.

    Proof: with the transform that the data set had before, an item read twice differs; with the present one it does
    not.

    Buggy::

        train_set, val_set = Subset(full, a), Subset(full, b)
        val_set.dataset.transform = None

    Fixed::

        train_set, val_set = Subset(Images(augment), a), Subset(Images(None), b)

    Healthy look-alikes: a transform that was replaced by another random one; a data set that never varied.

    Seen in: growingnet/gromo#58.
    """
    reading = facts.probe("train/data-reading")
    lost, varies = part(reading, "lost"), part(reading, "varies")
    if lost:
        yield Finding(
            "data.augmentation-lost",
            f"training items are no longer augmented: `{lost['attribute']}` of the shared {lost['owner']} "
            "was replaced by "
            f"{lost['after']}",
            severity="warning",
            site=place(lost.get("site"), reading.get("made")),
            evidence={"before": lost["before"], "now": lost["after"], "items that vary": int(varies.get("inputs", 0))},
            mechanism="both parts are subsets of one object → changing it for validation changes it for training → no "
            "augmentation, earlier overfitting",
            fix="make two data set objects over the same data, one for each transform",
            confidence=0.95,
        )
        return
    name = reading.get("is_configured")
    if isinstance(name, str) and varies and not varies["inputs"] and varies["read"] >= 4:
        yield Finding(
            "data.augmentation-lost",
            f"{name} is configured, yet training items never vary",
            severity="warning",
            site=place(reading.get("made"), reading.get("site")),
            evidence={"random transform": name, "items read again": varies["read"], "of them different": 0},
            mechanism="the transform is not called, or its result is kept → the same pictures every epoch → earlier "
            "overfitting",
            fix="apply the transform in __getitem__, on every reading",
            confidence=0.7,
        )
