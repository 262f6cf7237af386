"""`data.mutated-in-place`: reading an item changes the data set."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import part, place


@rule("data.mutated-in-place")
def check(facts: Facts) -> Iterator[Finding]:
    """Reading an example changes the data set itself.

    ``image = self.images[i]`` is a view; cutting squares out of it, adding noise or normalising in place writes
    into the stored data. Every epoch the damage adds up: training goes well at first and worse from epoch to epoch.

    Proof: what the data set holds differs before and after an item is read a second time; the line that changes it
    is found by reading the item line by line. For batches cut by hand: an in-place op writes into a view of the
    whole set, or the user's arrays before and after a step differ in the rows that the model was fed.

    Buggy::

        image = self.images[i]
        image[:, 2:5, 2:5] = 0

    Fixed::

        image = self.images[i].clone()

    Healthy look-alikes: a cache that is filled at the first reading and stays; counters.

    Seen in: facebookresearch/pycls#21; pytorch/vision#680; lucidrains/transfusion-pytorch#24.
    """
    reading = facts.probe("train/data-reading")
    mutated = part(reading, "mutated")
    if mutated:
        workers = reading.get("workers")
        yield Finding(
            "data.mutated-in-place",
            "reading an item changes the stored data",
            severity="error" if workers == 0 else "warning",
            site=place(mutated.get("site"), reading.get("made")),
            evidence={"tensors that changed": mutated["changed"], "tensors held": mutated["held"]},
            mechanism="an in-place change of a view → the data set is changed for good → the damage grows with every "
            "epoch",
            fix="image = self.images[index].clone()   # change a copy",
            confidence=0.98,
            explains=("data.normalised-twice", "data.augmentation-lost", "data.unscaled-input"),
        )
        return
    written = facts.probe("train/data-written")
    if "name" in written:
        yield Finding(
            "data.mutated-in-place",
            f"taking a batch changes the stored data (`{written['name']}`): the model is fed what it left there",
            severity="error",
            site=place(written.get("site")),
            evidence={"stored items changed by one batch, and fed": int(str(written["changed"]))},
            mechanism="an in-place change of a view → the data are changed for good → the damage grows with every "
            "epoch",
            fix="item = data[index].clone()   # or .copy(): change a copy",
            confidence=0.97,
            explains=("data.normalised-twice", "data.augmentation-lost", "step.learning-rate-too-low"),
        )
        return
    if written:
        yield Finding(
            "data.mutated-in-place",
            f"a batch is changed in place, and it is a view of the whole data set ({written['op']})",
            severity="error",
            site=place(written.get("site")),
            evidence={"rows of the batch": int(str(written["rows"])), "rows of the data set": int(str(written["of"]))},
            mechanism="a slice is a view → the change is written into the data set → it adds up from epoch to epoch",
            fix="batch = data[i:j].clone()   # change a copy",
            confidence=0.97,
            explains=("data.normalised-twice",),
        )
