"""`data.split-overlap`: shared items in continuous data, not in small discrete spaces."""

from __future__ import annotations

from mlkit.debug.facts import CallFacts, Facts, LoaderFacts
from mlkit.debug.rules.split_overlap import check
from mlkit.debug.sites import Site


def _found(**changes: object) -> list[str]:
    overlap = {
        "shared": 300,
        "of": 1000,
        "repeated_in_training": 20,
        "read": 2000,
        "is_real": True,
        "levels": 500,
        "numbers": 16,
    }
    facts = Facts(probes={"eval/data-splits": {"overlap": {**overlap, **changes}}})
    return [finding.severity for finding in check(facts)]


def test_rows_of_training_in_validation() -> None:
    assert _found() == ["warning"]
    assert _found(shared=1000) == ["error"]
    assert _found(repeated_in_training=900) == ["warning"]  # oversampled before the split


def test_a_few_natural_duplicates_are_fine() -> None:
    assert _found(shared=4) == []
    assert _found(shared=12) == []


def test_small_discrete_inputs_recur_within_training_too() -> None:
    assert _found(shared=1000, is_real=False, levels=2, repeated_in_training=1950) == []
    assert _found(shared=1000, is_real=False, levels=2, repeated_in_training=0) == ["error"]


def _loaders(*, other: int) -> Facts:
    loaders = {
        0: LoaderFacts(0, Site("a.py", 5), 32, "RandomSampler", True, 600, "list", 0, role="train"),
        1: LoaderFacts(1, Site("a.py", 6), 64, "SequentialSampler", False, 600, "list", other, role="eval"),
    }
    call = CallFacts("Net", 0, 20, False, [], False, None, False, 1, 64)
    probes = {"eval/data-splits": {"is_training_data": True}}
    return Facts(loaders=loaders, calls=[call], probes=probes, is_finished=True)


def test_the_only_evaluation_reads_the_training_set() -> None:
    (finding,) = check(_loaders(other=0))
    assert finding.site == Site("a.py", 6)
    assert list(check(_loaders(other=1))) == []


def test_training_accuracy_beside_validation_is_fine() -> None:
    facts = _loaders(other=0)
    facts.probes["validation/data-splits"] = {"is_training_data": False}
    assert list(check(facts)) == []
