from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.errors import ConfigError
from tests.evaluate.worlds import Floats

X, Y = np.arange(40, dtype=float)[:, None], np.arange(40) % 2


def test_rows_are_told_apart() -> None:
    """Rows whose models agree and are right, agree and are wrong, and disagree."""
    kinds = np.repeat([0, 1, 2], 20)

    def learner(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
        sign = np.random.default_rng(seed).choice([-1.0, 1.0], 60) * 6  # right or wrong by the toss of a coin
        return lambda rows: np.stack([np.zeros(60), np.select([kinds == 0, kinds == 1], [6.0, -6.0], sign)], 1)

    found = ev.decompose(learner, (X, Y), test=(np.zeros((60, 1)), np.ones(60, dtype=int)), size=(32, 2))
    rows = found.rows()
    assert rows.counts == {"easy": 20, "systematic": 20, "variable": 20}
    assert set(rows.rows("systematic")) == set(range(20, 40))
    assert set(rows.rows("variable")) == set(range(40, 60))
    losses = (rows.bias + rows.variance)[rows.rows("variable")]
    assert (np.diff(losses) <= 0).all()
    assert max(map(len, str(rows).splitlines())) <= 80
    assert rows.to_dict()["counts"]["easy"] == 20
    with pytest.raises(ConfigError, match="no such kind"):
        rows.rows("hard")  # type: ignore[arg-type]
