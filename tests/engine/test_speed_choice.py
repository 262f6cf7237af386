from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import TensorSplit
from mlkit.engine.speed import Speed
from mlkit.engine.speed_choice import SpeedWish, _optimizer_like, settle_speed, step_at
from mlkit.errors import ConfigError

CPU = torch.device("cpu")


def _settle(wish: SpeedWish, recorded: dict[str, object] | None = None) -> Speed:
    model = nn.Linear(4, 2)
    split = TensorSplit((torch.randn(32, 4),), torch.arange(32) % 2)
    return settle_speed(
        wish,
        recorded,
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        loss_fn=F.cross_entropy,
        batches=SplitBatches(split, 8),
        device=CPU,
        expected_steps=4,
    )


def test_off_and_a_given_speed_are_taken_as_they_are() -> None:
    assert _settle("off").precision == "float32"
    given = Speed(threads=1, precision="bfloat16")
    assert _settle(given) is given


def test_a_recorded_speed_is_replayed_and_says_so_once() -> None:
    recorded = Speed(threads=1, channels_last=True, reason="speed: channels-last 1.30x").to_dict()
    once = _settle("auto", recorded)
    twice = _settle("auto", once.to_dict())
    assert once.channels_last
    assert twice.reason == once.reason == "speed: channels-last 1.30x (as before the resume)"


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown speed"):
        _settle("fast")  # type: ignore[arg-type]


def test_the_step_is_the_plain_one_in_float32() -> None:
    model = nn.Linear(4, 2)
    split = TensorSplit((torch.randn(8, 4),), torch.arange(8) % 2)
    batch = split.gather(torch.arange(8))
    loss = step_at(Speed(threads=1), model, F.cross_entropy, CPU)(model, batch)
    assert torch.equal(loss, F.cross_entropy(model(*batch.inputs), batch.targets))


def test_trials_get_an_optimiser_of_the_same_class_and_settings() -> None:
    model = nn.Linear(4, 2)
    like = _optimizer_like(torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.5), nn.Linear(4, 2))
    assert isinstance(like, torch.optim.SGD)
    assert (like.defaults["lr"], like.defaults["momentum"]) == (0.3, 0.5)

    class Odd(torch.optim.SGD):
        def __init__(self, network: nn.Module) -> None:
            super().__init__(network.parameters(), lr=0.1)

    assert isinstance(_optimizer_like(Odd(model), nn.Linear(4, 2)), torch.optim.Adam)
