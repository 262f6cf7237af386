"""What the controls take away, and what they leave."""

from __future__ import annotations

import torch
from torch import nn

from mlkit.data.splits import Batch
from mlkit.debug.overfit.controls import with_shuffled_labels, without_inputs


def test_erased_inputs_tell_examples_apart_no_more() -> None:
    batch = Batch({"x": torch.randn(6, 3), "codes": torch.tensor([[0, 7], [1, 2], [2, 9]] * 2)}, torch.arange(6))
    erased = without_inputs(batch)
    assert isinstance(erased.inputs, dict)
    assert all(bool((x == x[:1]).all()) for x in erased.inputs.values())
    assert torch.equal(erased.targets, batch.targets)


def test_every_column_of_codes_keeps_to_its_own_range() -> None:
    codes = torch.tensor([[0, 7], [2, 9]])
    inputs = without_inputs(Batch((codes,), torch.zeros(2))).inputs
    assert isinstance(inputs, tuple)
    tables = nn.ModuleList([nn.Embedding(3, 2), nn.Embedding(10, 2)])
    for column, table in enumerate(tables):
        table(inputs[0][:, column])  # an index of another column would be out of range


def test_shuffled_labels_are_the_same_labels_elsewhere() -> None:
    batch = Batch((torch.randn(50, 2),), torch.arange(50))
    one, two = with_shuffled_labels(batch, seed=0), with_shuffled_labels(batch, seed=0)
    assert torch.equal(one.targets, two.targets)
    assert torch.equal(one.targets.sort().values, batch.targets)
    assert int((one.targets == batch.targets).sum()) < 10
    assert one.inputs is batch.inputs
