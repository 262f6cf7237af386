"""`data.augmented-validation`: random augmentation at validation."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place


@rule("data.augmented-validation")
def check(facts: Facts) -> Iterator[Finding]:
    """Validation items are augmented at random.

    One data set with random crops and flips was split in two, so that validation gets them too. Its score is noisy
    and too low, and moves when the model does not.

    Measured: a validation item, read again and again, differs, its label does not; training items vary as well.

    Buggy::

        train_set, val_set = random_split(Images(augment), [700, 200])

    Fixed::

        val_set = Subset(Images(plain), val_set.indices)

    Healthy look-alikes: pairs drawn at random (the label moves with them), noise that is the task itself (denoising: no
    class label), text whose masks are drawn anew.

    Seen in: gpleiss/efficient_densenet_pytorch#51; udacity/deep-learning-v2-pytorch#132;
    mrdbourke/pytorch-deep-learning#1352.
    """
    reading = evaluation(facts, "data-reading-eval")
    varies, training = part(reading, "varies"), part(reading, "training_varies")
    if (
        not varies
        or not varies["inputs"]
        or varies["labels"]
        or not varies["is_real"]
        or reading.get("is_training_loader")
    ):
        return
    if varies["inputs"] < 0.5 * varies["read"] or not training.get("inputs"):
        return
    has_labels = bool(facts.probe("train/data-labels"))
    yield Finding(
        "data.augmented-validation",
        "validation items are augmented at random: the same item differs from one reading to the next",
        severity="warning" if has_labels else "info",
        site=place(reading.get("site"), reading.get("loader")),
        evidence={"items that differ": varies["inputs"], "items read again": varies["read"]},
        mechanism="random augmentation also at validation → another test each time → a score that is noisy and too low",
        fix="give validation a data set of its own with a deterministic transform; share the indices of the split",
        confidence=0.9,
    )
