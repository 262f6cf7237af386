from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError
from mlkit.search.dimensions import Choice, Fixed, Log, choice, integer, log, uniform
from mlkit.search.space import Space, key

SPACE = Space.make(
    {
        "lr": log(1e-5, 1e-1),
        "width": integer(16, 256, log=True, multiple=16),
        "dropout": uniform(0.0, 0.6),
        "batch": choice(16, 32, 64),
        "activation": choice("relu", "tanh"),
        "momentum": 0.9,
    }
)


def test_values_come_back_from_their_points() -> None:
    points = np.random.default_rng(0).random((200, 6))
    many = [SPACE.params(point) for point in points]
    assert [SPACE.params(point) for point in SPACE.points(many)] == many
    # The farthest move: to the middle of a choice's share, and to width 16 from 8 or 24, on a scale from 8 to 264.
    assert np.abs(SPACE.points(many)[:, :5] - points[:, :5]).max(axis=0).tolist() == pytest.approx(
        [0.0, np.log(2) / np.log(33), 0.0, 1 / 6, 0.25], abs=0.01
    )


def test_a_point_is_a_point_whatever_the_order_of_the_names() -> None:
    params = SPACE.params([0.1, 0.2, 0.3, 0.4, 0.6, 0.7])
    turned = dict(reversed(params.items()))
    assert SPACE.point(turned).tolist() == SPACE.point(params).tolist()
    assert key(turned) == key(params)


def test_the_same_key_for_the_same_values_only() -> None:
    many = [SPACE.params(point) for point in np.random.default_rng(1).random((300, 6))]
    for a in many[:40]:
        for b in many:
            assert (key(a) == key(b)) == (a == b)
    assert len({key({"x": value}) for value in (1, 1.0, True, "1", None)}) == 5


def test_what_it_knows_of_its_parts() -> None:
    assert SPACE.names == ("lr", "width", "dropout", "batch", "activation", "momentum")
    assert SPACE.searched == SPACE.names[:5]
    assert SPACE.ordered.tolist() == [True, True, True, True, False, False]
    assert SPACE.sizes.tolist() == [0, 0, 0, 3, 2, 1]
    assert [(index, name) for index, name, _ in SPACE.ranges()] == [(0, "lr"), (1, "width"), (2, "dropout")]


def test_a_space_is_made_again_from_its_text() -> None:
    assert Space.make(SPACE.to_dict()) == SPACE
    assert Space.make(SPACE) is SPACE


def test_text_and_plain_values_are_read() -> None:
    made = Space.make({"lr": "log(1e-5, 1e-1)", "kind": "choice(a, b)", "optimizer": "adam", "epochs": 3, "flag": None})
    assert made.dimensions == {
        "lr": Log(1e-5, 1e-1),
        "kind": Choice(("a", "b")),
        "optimizer": Fixed("adam"),
        "epochs": Fixed(3),
        "flag": Fixed(None),
    }


def test_the_text_stands_in_columns() -> None:
    lines = str(SPACE).splitlines()
    assert len(lines) == 6
    assert {line.index(str(dimension)) for line, dimension in zip(lines, SPACE.dimensions.values(), strict=True)} == {
        len("activation") + 2
    }


def test_a_part_is_replaced_in_its_place() -> None:
    changed = SPACE.changed({"dropout": uniform(0.0, 0.9)})
    assert changed.names == SPACE.names
    assert SPACE.dimensions["dropout"] == uniform(0.0, 0.6)
    old = SPACE.points([SPACE.params([0.5] * 6)])[0]
    new = changed.point(SPACE.params([0.5] * 6))
    assert new[2] == pytest.approx(old[2] * 0.6 / 0.9)
    assert np.delete(new, 2).tolist() == np.delete(old, 2).tolist()


def test_no_points_of_no_configurations() -> None:
    assert SPACE.points([]).shape == (0, 6)


def test_names_that_do_not_fit_are_all_told() -> None:
    params = SPACE.params([0.5] * 6)
    del params["dropout"]
    params["widht"] = params.pop("width")
    with pytest.raises(ConfigError) as caught:
        SPACE.point(params)
    assert len(caught.value.problems) == 3
    for part in ("'dropout' has no value", "'width' has no value", "'widht'", "width"):
        assert part in str(caught.value)


@pytest.mark.parametrize("wrong", [{}, None, [log(1e-3, 1.0)], "log(1, 2)"])
def test_a_space_of_nothing(wrong: object) -> None:
    with pytest.raises(ConfigError, match="at least one hyper-parameter"):
        Space.make(wrong)  # type: ignore[arg-type]


def test_all_wrong_texts_are_told_by_name() -> None:
    with pytest.raises(ConfigError) as caught:
        Space.make({"lr": "log(0.1, 0.001)", "width": "integr(1, 8)", "kind": ["a", "b"], "fine": "uniform(0, 1)"})
    assert [problem.what.split(":")[0] for problem in caught.value.problems] == ["lr", "width", "kind"]
    for part in ("swap them", "integer", "choice('a', 'b')"):
        assert part in str(caught.value)
