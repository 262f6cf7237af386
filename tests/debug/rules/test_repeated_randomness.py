"""`data.repeated-randomness`: copies of one generator, and seeds in every reading."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.repeated_randomness import check


def _found(**reading: object) -> list[str]:
    return [finding.severity for finding in check(Facts(probes={"train/data-reading": reading}))]


def test_workers_that_copy_a_generator() -> None:
    assert _found(own=["rng"], workers=2, persistent=False) == ["error"]


def test_the_same_generator_without_workers_moves_on() -> None:
    assert _found(own=["rng"], workers=0) == []
    assert _found(own=["rng"], workers=2, has_worker_init=True) == []
    assert _found(own=["rng"], workers=1, persistent=True) == []


def test_reading_that_seeds_the_global_generator() -> None:
    assert _found(seeds_anew=["numpy"], workers=0) == ["warning"]
