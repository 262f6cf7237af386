from __future__ import annotations

import pytest

from mlkit.errors import ConfigError
from mlkit.search.dimensions import Choice, Dimension, Fixed, Integer, Log, Uniform
from mlkit.search.text import dimension_of, interval, parse


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("log(1e-5, 1e-1)", Log(1e-5, 1e-1)),
        (" log( 1e-5,1e-1 ) ", Log(1e-5, 1e-1)),
        ("log(1e-5, 1e-1, grow=False)", Log(1e-5, 1e-1, grow=False)),
        ("log(low=1e-5, high=1e-1, limits=(1e-6, 1.0))", Log(1e-5, 1e-1, limits=(1e-6, 1.0))),
        ("uniform(-1, 1)", Uniform(-1, 1)),
        ("integer(16, 256, log=true, multiple=16)", Integer(16, 256, log=True, multiple=16)),
        ("choice(relu, tanh)", Choice(("relu", "tanh"))),
        ("choice('a b', \"c\", 3, -0.5, True, null, none)", None),
        ("choice(small, large, ordered=True)", Choice(("small", "large"), ordered=True)),
        ("choice(true, false, null)", Choice((True, False, None))),
        ("fixed(adam)", Fixed("adam")),
        ("interval(1e-5, 1e-1)", Log(1e-5, 1e-1)),
    ],
)
def test_forms(text: str, wanted: Dimension | None) -> None:
    if wanted is None:  # none twice
        with pytest.raises(ConfigError, match="a value twice"):
            parse(text)
    else:
        assert parse(text) == wanted


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ((1e-5, 1e-1), Log(1e-5, 1e-1)),
        ((1e-2, 0.99), Uniform(1e-2, 0.99)),
        ((1e-2, 1.0), Log(1e-2, 1.0)),  # two decades
        ((0.0, 1e6), Uniform(0.0, 1e6)),
        ((1, 99), Integer(1, 99)),
        ((1, 100), Integer(1, 100, log=True)),
        ((-5, 5), Integer(-5, 5)),
        ((1, 4.0), Uniform(1, 4.0)),
    ],
)
def test_the_scale_of_an_interval_follows_from_its_ends(ends: tuple[float, float], wanted: Dimension) -> None:
    assert interval(*ends) == wanted


def test_plain_values_are_fixed_and_forms_are_read() -> None:
    given = ["adam", 3, 0.5, True, None, "log(1e-3, 1)", "choice(a, b)", "a(b", "my-model(2)"]
    wanted = [Fixed("adam"), Fixed(3), Fixed(0.5), Fixed(True), Fixed(None), Log(1e-3, 1), Choice(("a", "b"))]
    assert [dimension_of(value) for value in given[:7]] == wanted
    assert dimension_of("my-model(2)") == Fixed("my-model(2)")
    with pytest.raises(ConfigError, match="cannot be read"):
        dimension_of("a(b")
    with pytest.raises(ConfigError) as caught:
        dimension_of(["relu", "tanh"])
    assert "choice('relu', 'tanh')" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("log(1e-5", "cannot be read"),
        ("1e-5", "not of the form"),
        ("a.log(1, 2)", "not of the form"),
        ("logg(1e-5, 1)", "log"),
        ("log(1e-5)", "wrong values"),
        ("log(1e-5, 1, scale=2)", "scale"),
        ("log(1, 1e-5)", "swap them"),
        ("log(__import__('os').getpid(), 1)", "not a plain value"),
        ("choice(*[1, 2])", "not a plain value"),
        ("choice([1, 2])", "cannot keep"),
        ("fixed(1e999)", "cannot keep"),
        ("log(1e-5, 1, **{})", "wrong values"),
    ],
)
def test_what_cannot_be_read_says_what_can(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert part in str(caught.value)


def test_nothing_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("fixed(print('hello'))", "choice(a, print('hello'))", "print('hello')"):
        with pytest.raises(ConfigError):
            parse(text)
    assert capsys.readouterr().out == ""
