"""Whether inputs predict labels, and in which order of the labels they do."""

from __future__ import annotations

from torch.utils.data import DataLoader, TensorDataset

from mlkit.debug.probes.data_signal import other_orders, strength
from tests.debug.probes.data_programs import clusters, measured, train


def test_labels_in_text_order_beside_inputs_in_number_order() -> None:
    x, y = clusters(400)
    slip = other_orders(400)["the order of file names as text"]
    found = measured(lambda: train(DataLoader(TensorDataset(x[slip], y), 32, shuffle=True)), "data-signal")
    assert found["order"] == "the order of file names as text"
    paired = measured(lambda: train(DataLoader(TensorDataset(x, y), 32, shuffle=True)), "data-signal")
    assert "order" not in paired
    assert float(str(paired["best"])) > 10


def test_strength_is_near_zero_without_signal() -> None:
    x, _ = clusters(600)
    _, y = clusters(600, seed=5)
    assert abs(strength(x, y)) < 3.5
