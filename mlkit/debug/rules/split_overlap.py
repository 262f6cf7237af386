"""`data.split-overlap`: the same or nearly the same items in train and validation."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import evaluation, part, place, rounded
from mlkit.debug.sites import Site

STRANGE = 0.4
"""Share of items that chance puts so near to a training item once in a hundred times."""


@rule("data.split-overlap")
def check(facts: Facts) -> Iterator[Finding]:
    """Validation holds items that are trained on.

    Rows were drawn again (oversampled, augmented) before the split, or validation was built from the training
    split. The score is too good, and says nothing of new data.

    Measured: items of the evaluation whose inputs equal those of a training item to the last bit; or the nearest
    training item of many is far nearer than their tenth and fiftieth nearest let expect, as for copies with a little
    noise.

    Buggy::

        x, y = oversample(x, y)
        x_train, x_val, y_train, y_val = train_test_split(x, y)

    Fixed::

        x_train, x_val, y_train, y_val = train_test_split(x, y)
        x_train, y_train = oversample(x_train, y_train)

    Healthy look-alikes: small discrete inputs (one-hot tables, short token sequences) recur by nature, and do so within
    training as well; an evaluation on the training set beside one on validation data.

    Seen in: marin-community/marin#2700; theislab/multimil#75; luxonis/luxonis-train#213.
    """
    splits = evaluation(facts, "data-splits")
    overlap = part(splits, "overlap")
    site = place(splits.get("split"), splits.get("alias"), splits.get("site"), splits.get("loader"))
    shared, count = overlap.get("shared", 0), overlap.get("of", 0)
    mechanism = (
        "the model has seen the answers of validation items → validation measures memory → a score that is too good"
    )
    if overlap and count and _is_telling(overlap):
        share = shared / count
        yield Finding(
            "data.split-overlap",
            f"{share:.0%} of the validation items are also training items",
            severity="error" if share > 0.9 else "warning",
            site=site,
            evidence={
                "validation items looked at": count,
                "of them in training": shared,
                "training items looked at": overlap["read"],
                "repeats within training": overlap["repeated_in_training"],
            },
            mechanism=mechanism,
            fix="split first, then oversample or augment the training part alone",
            confidence=0.95,
            explains=("data.scaler-leak", "data.imbalance"),
        )
        return
    rows = part(splits, "rows")
    if rows and rows["shared"] >= 0.05 * rows["of"] and rows["shared"] >= 5:
        yield Finding(
            "data.split-overlap",
            f"{rows['shared'] / rows['of']:.0%} of the validation rows are also training rows: the two "
            "subsets share indices",
            severity="error" if rows["shared"] > 0.9 * rows["of"] else "warning",
            site=site,
            evidence={"validation rows": rows["of"], "of them in training": rows["shared"]},
            mechanism=mechanism,
            fix="draw the indices of both parts from one permutation: order[:cut] and order[cut:]",
            confidence=0.97,
            explains=("data.scaler-leak", "data.imbalance"),
        )
        return
    near = part(splits, "neighbours")
    if near and near["checked"] >= 30 and near["exact"] < 0.5 and near["strange"] > STRANGE:
        yield Finding(
            "data.split-overlap",
            f"{near['strange']:.0%} of the validation items have a near copy in training",
            severity="warning",
            site=site,
            evidence={
                "nearest far nearer than the others tell": rounded(near["strange"], 3),
                "nearest against tenth nearest": rounded(near["median"], 3),
            },
            mechanism=mechanism,
            fix="split by what the copies were made from, then augment the training part alone",
            confidence=0.7,
        )
        return
    yield from _one_data_set(facts)


def _is_telling(overlap: object) -> bool:
    assert hasattr(overlap, "__getitem__")
    share = overlap["shared"] / overlap["of"]
    repeats = overlap["repeated_in_training"] / max(1, overlap["read"])
    if overlap["shared"] < 5:
        return False
    if overlap["is_real"] and overlap["levels"] > 100 and overlap["numbers"] >= 4:
        return bool(share >= 0.05)
    return bool(share >= 0.3 and repeats < share / 3 and overlap["numbers"] >= 4)


def _one_data_set(facts: Facts) -> Iterator[Finding]:
    """Every evaluation was on another loader over the very data set that is trained on."""
    training = next((one for one in facts.loaders.values() if one.role == "train"), None)
    calls = [call for call in facts.calls if call.led_to_backward is False and not call.grad_enabled]
    if training is None or not calls or not facts.is_finished or (training.length or 0) < 100:
        return
    if "eval/data-splits" not in facts.probes or not facts.probe("eval/data-splits").get("is_training_data"):
        return
    if not facts.probe("validation/data-splits").get("is_training_data", True):
        return
    used = {call.loader for call in calls}
    others = [facts.loaders[key] for key in used if key is not None and key in facts.loaders and key != training.key]
    if not others or any(one.dataset_key != training.dataset_key for one in others):
        return
    if training.key in used and any(call.site != calls[0].site for call in calls):
        return
    other = others[0]
    unused = [one for one in facts.loaders.values() if one.dataset_key != training.dataset_key and not one.passes]
    yield Finding(
        "data.split-overlap",
        "the only evaluation is on the data set that is trained on, through a second loader",
        severity="warning",
        site=_parting(other.stack, training.stack) or other.site,
        evidence={"items": training.length, "loaders over it": 2, "other loaders, never read": len(unused)},
        mechanism="validation is training data → its score measures memory → overfitting cannot be seen",
        fix="build the validation loader from the validation split",
        confidence=0.85,
    )


def _parting(one: tuple[Site, ...], other: tuple[Site, ...]) -> Site | None:
    """The innermost line of a stack that the other does not share: two loaders made by one helper "
    "part at its callers.
    """
    return next((site for site in one if site not in other), None)
