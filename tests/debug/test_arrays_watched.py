"""What NumPy does with a model's outputs: tables and an argmax of one column are noted, in a copy alone."""

from __future__ import annotations

import numpy as np
import torch

from mlkit.debug import arrays_watched, experiment
from mlkit.debug.sites import Locator


def _noted(column: torch.Tensor, labels: torch.Tensor) -> object:
    def in_a_copy() -> object:
        arrays_watched.watch(Locator())
        scores, truth = column.numpy(), labels.numpy()
        ((scores > 0) == truth).mean()
        scores.argmax(1)
        value = float(np.exp(scores).sum())
        return {
            kind: [one.get("shapes", one.get("shape")) for one in entries]
            for kind, entries in arrays_watched.noted().items()
        }, value

    return experiment.measure(in_a_copy, seconds=5.0).value


def test_a_column_against_a_vector_is_a_table() -> None:
    found = _noted(torch.zeros(6, 1), torch.zeros(6))
    assert found == ({"wrong": ["(6, 1) and (6,)"], "single": ["(6, 1)"]}, 6.0)


def test_equal_shapes_and_several_columns_are_quiet() -> None:
    assert _noted(torch.zeros(6, 3), torch.zeros(6, 3)) == ({}, 18.0)
    assert type(torch.zeros(2).numpy()) is np.ndarray
