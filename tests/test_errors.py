from __future__ import annotations

import pytest

from mlkit.errors import ConfigError, MlkitError, Problem, did_you_mean


def test_an_error_shows_its_four_parts_in_order() -> None:
    text = str(ConfigError("unknown model", received="'lenett'", allowed="lenet, mlp", todo="did you mean 'lenet'?"))
    assert text.splitlines() == [
        "unknown model",
        "  received: 'lenett'",
        "  allowed:  lenet, mlp",
        "  to do:    did you mean 'lenet'?",
    ]


def test_all_mistakes_are_shown_at_once() -> None:
    error = MlkitError([Problem("first"), Problem("second", received="2")])
    assert "first" in str(error)
    assert "second" in str(error)
    assert len(error.problems) == 2


@pytest.mark.parametrize(("name", "expected"), [("adm", "adam"), ("ADAM", "adam"), ("sgdd", "sgd")])
def test_close_names_are_suggested(name: str, expected: str) -> None:
    assert did_you_mean(name, ["adam", "sgd"]) == f"did you mean '{expected}'?"


def test_nothing_close_means_no_suggestion() -> None:
    assert did_you_mean("zzzzzz", ["adam", "sgd"]) is None
