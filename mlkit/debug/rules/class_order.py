"""`data.class-order`: class indices differ between training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place, rounded


@rule("data.class-order")
def check(facts: Facts) -> Iterator[Finding]:
    """Class indices mean other classes in evaluation than in training.

    Training sorted the class names as text ("0", "1", "10", "11", "2"), evaluation numbers them, or two encoders were
    fitted apart. The model is right, its score is not.

    Measured: the nearest training items predict the labels of the evaluation poorly as they are, and well after a
    renaming of the classes; within training they predict well.

    Buggy::

        y_train = encoder.fit_transform(names_train)
        y_val = [int(name) for name in names_val]

    Fixed::

        y_val = encoder.transform(names_val)

    Healthy look-alikes: a hard task, where no renaming helps; a shift of the data.

    Seen in: pytorch/pytorch#22566.
    """
    splits = evaluation(facts, "data-splits")
    labels = part(splits, "labels")
    if "agreement" not in labels or splits.get("is_training_data"):
        return
    agreement, renamed, control = (float(labels[name]) for name in ("agreement", "renamed", "control"))
    if control < 0.7 or renamed < max(0.65, 0.75 * control) or agreement > 0.6 * renamed or labels["moved_count"] < 2:
        return
    yield Finding(
        "data.class-order",
        f"class indices differ between training and evaluation: renaming {labels['moved_count']} classes "
        "lifts agreement "
        f"from {agreement:.0%} to {renamed:.0%}",
        severity="warning",
        site=place(splits.get("label_site"), splits.get("site")),
        evidence={
            "agreement": rounded(agreement, 3),
            "agreement after renaming": rounded(renamed, 3),
            "agreement within training": rounded(control, 3),
            "renamed": list(labels["moved"]),
        },
        mechanism="one index, two classes → right answers are counted as wrong → a score near chance for a good model",
        fix="encode both parts with one mapping, fitted once",
        confidence=0.95,
        explains=("data.label-support",),
    )
