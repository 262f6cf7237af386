"""The user's variables: arrays found through lists and objects, the lines that named them, the loop around a frame."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from mlkit.debug.sites import Locator
from mlkit.debug.variables import alias, arrays, attribute_line, frames, line_of, loop_around, modules, names_used


def _line() -> int:
    return sys._getframe(1).f_lineno


def test_arrays_are_found_in_lists_and_objects_and_weights_are_left_out() -> None:
    table = np.arange(12.0).reshape(4, 3)
    items = [torch.zeros(3), torch.ones(3)]
    holder = SimpleNamespace(inner=torch.full((5,), 2.0))
    layer = nn.Linear(3, 2)
    found = {one.name: one.value for one in arrays(Locator())}
    assert found["table"] is table
    assert found["items[1]"] is items[1]
    assert found["holder.inner"] is holder.inner
    assert not any(value is layer.weight for value in found.values())


def test_the_last_line_that_gives_a_value_is_told() -> None:
    table = np.zeros((3, 2))
    table = table + 1.0
    last = _line() - 1
    site = next(line_of(one) for one in arrays(Locator()) if one.value is table)
    assert site is not None
    assert site.line == last


def test_an_alias_is_the_name_of_the_whole_and_not_of_a_part() -> None:
    whole = torch.arange(20.0)
    same = whole
    named = _line() - 1
    part = whole[3:9]
    site = alias(Locator(), part)
    assert same is whole
    assert site is not None
    assert site.line == named


def test_the_loop_over_batches_is_told_and_a_range_is_not() -> None:
    for _ in range(1):
        for _ in [0]:
            inner = _line() - 1
            site = loop_around(frames(Locator())[0])
    assert site is not None
    assert site.line == inner


def test_switches_modules_and_names_of_scores() -> None:
    data, model = SimpleNamespace(train=True), nn.Linear(2, 2)
    data.train = False
    site = attribute_line(Locator(), "train")
    assert site is not None
    assert site.source == "data.train = False"
    assert any(one is model for one in modules(Locator()))
    assert "attribute_line" in names_used(Locator())
    assert "a_name_that_is_a_string_alone" not in names_used(Locator())
