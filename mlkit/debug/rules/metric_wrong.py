"""`metric.wrong`: the metric of perfect predictions is not perfect.

Not here: the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import number, place


@rule("metric.wrong")
def check(facts: Facts) -> Iterator[Finding]:
    """The metric is wrong: predictions that agree with every label do not score as perfect.

    Training may be all right, but the number that is reported, and by which the best epoch is chosen, is not. An
    argmax over
    one column is always 0; an argmax along the axis of the samples tells the best sample of a class; a probability's
    threshold of 0.5 on raw scores calls weak positives negative; a column compared with a vector is a table.

    Proof: the op that decides is given scores made from the labels themselves, and the program's own ops up to the
    comparison with the labels are replayed. All comparisons must hold.

    Buggy::

        accuracy = (logits.argmax(1) == target).float().mean()          # logits of one column

    Fixed::

        accuracy = ((logits[:, 0] > 0) == target).float().mean()

    Seen in: Stack Overflow 62354952, 56841451, 42821125.
    """
    told: set[object] = set()
    for name in (
        "eval/metric",
        *sorted(one for one in facts.probes if one.startswith("train") and one.endswith("/metric")),
    ):
        found = facts.probe(name)
        for entry in _entries(found, "single"):
            site = place(entry)
            if site in told:
                continue
            told.add(site)
            yield _finding(
                f"{entry['op']} over an axis of one unit ({entry['shape']}) is always 0: the same answer for "
                f"every sample",
                entry,
                0.98,
                "threshold one column instead: scores[:, 0] > 0 for raw scores, > 0.5 for probabilities",
            )
        for entry in _entries(found, "wrong"):
            site = place(entry)
            if site in told:
                continue
            told.add(site)
            yield _of_comparison(entry)


def _of_comparison(entry: Mapping[str, Any]) -> Finding:
    if entry["kind"] == "table":
        return _finding(
            f"predictions and labels of shapes {entry['shapes']} are compared as a table: every sample with "
            f"every other",
            entry,
            0.97,
            "give both the same shape before they are compared",
        )
    if entry["kind"] == "threshold":
        return _finding(
            "a threshold for probabilities is applied to raw scores: weak but right predictions count as wrong",
            entry,
            0.85,
            "scores > 0, or torch.sigmoid(scores) > 0.5",
            is_sure=False,
        )
    return _finding(
        f"perfect predictions score {entry['right']:.0%}, not 100%: {entry['decision']} on scores of "
        f"{entry['shapes']} labels",
        entry,
        0.96,
        "decide along the axis of the classes (argmax(1) for scores of (samples, classes)), at the threshold of "
        "that space",
    )


def _entries(found: Mapping[str, object], kind: str) -> list[Mapping[str, Any]]:
    value = found.get(kind)
    return value if isinstance(value, list) else []


def _finding(message: str, entry: Mapping[str, Any], confidence: float, fix: str, *, is_sure: bool = True) -> Finding:
    return Finding(
        "metric.wrong",
        message,
        severity="error" if is_sure else "warning",
        site=place(entry),
        evidence={"share right for perfect predictions": number(entry["right"])}
        if entry.get("right") is not None
        else {},
        mechanism="the metric does not measure agreement with the labels → it stays low or constant whatever is "
        "learned → "
        "the report is wrong, and so is what is chosen by it",
        fix=fix,
        confidence=confidence,
    )
