"""`data.label-support`: unused, missing, off-by-one or collapsed classes."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Evidence, Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place

MANY_CLASSES = 500


@rule("data.label-support")
def check(facts: Facts) -> Iterator[Finding]:
    """The labels of the training examples do not use the classes that the model has.

    All labels are one class (a slip scaled or cast the labels); or they run from 1 where indices run from 0, so that an
    output is never right and all reports are shifted by one; or a class occurs in validation alone. The loss falls
    nicely, and the accuracy means nothing.

    Measured: counts of the labels of the training examples against the outputs of the model.

    Buggy::

        y = torch.tensor(table[:, -1])        # 1, 2, 3
        classes = int(y.max()) + 1            # 4

    Fixed::

        y = torch.tensor(table[:, -1]) - 1    # 0, 1, 2

    Healthy look-alikes: tokens (most of a vocabulary is rare), an index that the loss ignores, a head with more outputs
    than this data set has classes (told as info), a few examples only.

    Seen in: DeepFD 59325381; microsoft/CodeBERT#145.
    """
    labels = facts.probe("train/data-labels")
    counts, classes, read = labels.get("counts"), labels.get("classes"), labels.get("read")
    if not isinstance(counts, list) or not isinstance(classes, int) or not isinstance(read, int):
        return
    used = [number for number, count in enumerate(counts) if count]
    ignored = labels.get("ignored")
    if read < 50 or classes > MANY_CLASSES or labels.get("is_batch"):
        return
    evidence: Evidence = {"labels read": read, "classes of the model": classes, "classes used": used[:30]}
    site = place(labels.get("site"), labels.get("head"))
    explains = (
        "data.imbalance",
        "data.not-shuffled",
        "loss.starts-far-from-chance",
        "data.class-order",
        "data.split-preprocessing",
    )
    if len(used) == 1:
        yield Finding(
            "data.label-support",
            f"all {read} labels that were read are class {used[0]}, and the model tells {classes} classes apart",
            severity="error" if read >= 100 else "warning",
            site=site,
            evidence=evidence,
            mechanism="one class only → always answering it is perfect → the loss falls to 0 and nothing is learned",
            fix="look at the labels after every cast and scaling: torch.bincount(y)",
            confidence=0.97,
            explains=explains,
        )
    elif used == list(range(1, classes)) and ignored != 0 and classes >= 3 and read >= 4 * classes:
        yield Finding(
            "data.label-support",
            f"class 0 of {classes} never occurs: labels run from 1 to {classes - 1}",
            severity="warning",
            site=site,
            evidence=evidence,
            mechanism="labels start at 1 → output 0 is never right → one dead output, and reports shifted by one",
            fix="y = y - 1   # class indices start at 0",
            confidence=0.9,
            explains=explains,
        )
    elif len(used) * 4 <= classes and classes >= 4 and read >= 20 * classes and used == list(range(len(used))):
        yield Finding(
            "data.label-support",
            f"labels use {len(used)} of the {classes} classes that the model tells apart",
            severity="warning" if used[-1] <= 1 else "info",
            site=site,
            evidence=evidence,
            mechanism="labels were scaled or cast so that classes fell together → an easier task than the one meant",
            fix="look at the labels after every cast and scaling: torch.bincount(y)",
            confidence=0.8,
            explains=explains,
        )
    else:
        yield from _only_in_validation(facts, used, classes, read)


def _only_in_validation(facts: Facts, used: list[int], classes: int, read: int) -> Iterator[Finding]:
    splits = evaluation(facts, "data-splits")
    other = part(splits, "labels").get("val_counts")
    if not isinstance(other, list) or read < 20 * classes:
        return
    total = sum(other)
    strange = [number for number, count in enumerate(other) if number not in used and count >= max(5, 0.02 * total)]
    if strange and total >= 50:
        yield Finding(
            "data.label-support",
            f"class {strange[0]} occurs in validation and never in training",
            severity="warning",
            site=place(splits.get("split"), splits.get("site")),
            evidence={"classes in validation alone": strange[:10], "labels read": read},
            mechanism="a class that is never trained on → it is never predicted → errors that no training cures",
            fix="split with all classes in both parts: train_test_split(..., stratify=y)",
            confidence=0.85,
        )
