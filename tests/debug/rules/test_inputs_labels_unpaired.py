"""`data.inputs-labels-unpaired`: no signal as stored, and signal in another order or a loss at chance."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.inputs_labels_unpaired import check

LABELS = {"counts": [250, 250, 250, 250], "size": 1000}


def _found(best: float, losses: list[float], **more: object) -> list[str]:
    probes = {
        "train/data-signal": {"best": best, "read": 1000, **more},
        "train/data-labels": LABELS,
        "train/heads": {"batch_size": 25},
    }
    facts = Facts(probes=probes, losses=list(enumerate(losses)))
    return [finding.severity for finding in check(facts)]


CHANCE = [1.4] * 80
LEARNS = [1.4 - 0.02 * step for step in range(60)] + [0.2] * 20


def test_another_order_of_the_labels_is_proof() -> None:
    assert _found(1.0, LEARNS, order="the order of file names as text", again=15.0) == ["error"]


def test_no_signal_and_a_loss_at_chance_is_a_guess() -> None:
    assert _found(1.0, CHANCE) == ["warning"]


def test_a_task_that_is_learned_or_has_signal_is_fine() -> None:
    assert _found(1.0, LEARNS) == []
    assert _found(12.0, CHANCE) == []
