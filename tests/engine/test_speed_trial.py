from __future__ import annotations

import copy
import random
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.engine.speed_settings import Speed
from mlkit.engine.speed_trial import MakeOptimizer, Trial, Work
from mlkit.runtime import rng
from mlkit.runtime.precision import Precision

ONE = Speed(threads=1)
LAYOUT = Speed(threads=1, channels_last=True)


@pytest.fixture(autouse=True)
def _generators_are_put_back() -> Any:
    with rng.preserved():
        yield


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def network(*, dropout: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout2d(dropout),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(64, 3),
    )


def images() -> Batch:
    stream = torch.Generator().manual_seed(1)
    return Batch((torch.randn(16, 3, 6, 6, generator=stream),), torch.randint(0, 3, (16,), generator=stream))


def work(model: nn.Module | None = None, *, loss_fn: Any = F.cross_entropy, make: MakeOptimizer = sgd) -> Work:
    return Work(model or network(), images(), loss_fn, make)


def test_the_first_losses_are_those_of_a_loop_written_by_hand() -> None:
    model = network()
    by_hand = copy.deepcopy(model).train()
    for module in by_hand.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.eval()
    optimizer = sgd(by_hand)
    expected, outputs = [], []
    inputs, targets = images()
    for _ in range(2):
        optimizer.zero_grad()
        outputs.append(by_hand(*inputs).flatten())
        loss = F.cross_entropy(outputs[-1].view(16, 3), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        expected.append(loss.item())
    trial = work(model).trial(ONE)
    found = trial.first_steps()
    assert found.losses == pytest.approx(expected, rel=1e-5)
    assert found.losses[0] != found.losses[1]
    torch.testing.assert_close(found.outputs, outputs)


@pytest.mark.parametrize("other", [ONE, Speed(threads=2), LAYOUT])
def test_settings_can_be_compared_though_the_model_draws(other: Speed) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            noise = torch.randn(1) + random.random() + float(np.random.rand())
            y: Tensor = self.inner(x) * noise
            return y

    first = work(Noisy()).trial(ONE).first_steps().losses
    torch.randn(5)  # the generators are elsewhere now
    second = work(Noisy()).trial(other).first_steps().losses
    assert second == pytest.approx(first, rel=1e-4)


def test_lower_precision_changes_the_losses_a_little() -> None:
    full = work().trial(ONE).first_steps().losses
    low = work().trial(Speed(threads=1, precision="bfloat16")).first_steps().losses
    assert low != full
    assert low == pytest.approx(full, rel=2e-2)


def test_dropout_is_off_only_while_losses_are_noted() -> None:
    seen: list[bool] = []

    class Watch(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.training)
            return super().forward(x)

    model = nn.Sequential(nn.Flatten(), Watch(), nn.Linear(108, 3))
    trial = work(model).trial(ONE)
    trial.first_steps()
    trial.visit(count=3)
    assert seen == [False, False, True, True, True]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_layers_that_keep_a_rate_of_dropout_do_not_draw_either(precision: Precision) -> None:
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.lstm = nn.LSTM(36, 8, 2, dropout=0.5, batch_first=True)
            self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
            self.linear = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            rates.append((self.lstm.dropout, self.attention.dropout))
            h, _ = self.lstm(x.flatten(2))
            y: Tensor = self.linear(self.attention(h, h, h)[0][:, -1])
            return y

    rates: list[tuple[float, float]] = []
    trial = work(Sequence()).trial(Speed(threads=1, precision=precision))
    trial.first_steps()
    trial.visit(count=1)
    assert rates == [(0.0, 0.0), (0.0, 0.0), (0.5, 0.5)]


def test_of_a_large_output_an_even_sample_is_kept() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * torch.arange(200_000.0)

    found = work(Wide(), loss_fn=lambda y, t: y.mean(), make=lambda m: torch.optim.SGD(m.parameters(), lr=0)).trial(ONE)
    assert torch.equal(found.first_steps().outputs[0], torch.arange(0.0, 200_000.0, 4.0))


def test_an_output_that_is_no_tensor_is_not_kept() -> None:
    class Pair(nn.Linear):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            y = super().forward(x.flatten(1))
            return y, y

    found = work(Pair(108, 3), loss_fn=lambda pair, t: F.cross_entropy(pair[0], t)).trial(ONE).first_steps()
    assert (len(found.losses), found.outputs) == (2, [])


def test_the_model_and_the_batch_are_copies() -> None:
    class Mutating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(108, 3)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            y: Tensor = self.linear(x.mul_(0.5).flatten(1))
            return y

    model, batch = Mutating().eval(), images()
    before, inputs = copy.deepcopy(model.state_dict()), batch.inputs[0].clone()  # type: ignore[index]
    trial = Work(model, batch, F.cross_entropy, sgd).trial(LAYOUT)
    trial.first_steps()
    trial.visit(count=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(batch.inputs[0], inputs)  # type: ignore[index]
    assert not model.training
    assert not model.linear.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_inputs_by_name_are_copied_too() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, *, x: Tensor, scale: Tensor) -> Tensor:
            y: Tensor = self.linear(x.mul_(2.0)) * scale.add_(1.0)
            return y

    batch = Batch({"x": torch.ones(8, 4), "scale": torch.ones(8, 1)}, torch.zeros(8, dtype=torch.int64))
    trial = Work(ByName(), batch, F.cross_entropy, sgd).trial(ONE)
    assert len(trial.first_steps().losses) == 2
    assert isinstance(batch.inputs, dict)
    assert (batch.inputs["x"] == 1).all()
    assert (batch.inputs["scale"] == 1).all()


def test_a_loss_with_weights_and_buffers_is_copied_with_the_model() -> None:
    class Centres(nn.Module):
        """A loss that learns, keeps statistics and knows the model."""

        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model
            self.scale = nn.Parameter(torch.ones(()))
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.mean.lerp_(outputs.detach().mean(), 0.1)
            penalty = sum(p.square().sum() for p in self.model.parameters())
            return F.cross_entropy(outputs * self.scale, targets) + 1e-3 * penalty

    model = network()
    loss_fn = Centres(model)
    first, second = work(model, loss_fn=loss_fn).trial(ONE).first_steps().losses
    assert loss_fn.mean == 0
    assert all(parameter.grad is None for parameter in loss_fn.parameters())
    penalty = 1e-3 * sum(p.square().sum().item() for p in model.parameters())
    bare = work(model).trial(ONE).first_steps().losses
    assert first == pytest.approx(bare[0] + penalty, rel=1e-5)
    assert second != pytest.approx(bare[1] + penalty, rel=1e-5)  # the penalty has a gradient in the copy


def test_the_layout_of_the_model_itself_stays() -> None:
    model = network()
    before = [p.stride() for p in model.parameters()]
    work(model).trial(LAYOUT).first_steps()
    assert [p.stride() for p in model.parameters()] == before


def test_steps_are_made_with_the_threads_that_were_asked_for() -> None:
    seen: list[int] = []

    class Watch(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return super().forward(x.flatten(1))

    before = torch.get_num_threads()
    trial = work(Watch(108, 3)).trial(Speed(threads=2))
    trial.first_steps()
    trial.visit(count=1)
    trial.visit(count=1, threads=1)
    trial.visit(count=2, threads=3, warm=True)
    trial.use_threads(4, 0.5)
    trial.visit(count=1)
    assert seen == [2, 2, 2, 1, 3, 3, 3, 4]
    assert (trial.speed.threads, trial.seconds) == (4, 0.5)
    assert torch.get_num_threads() == before


def test_a_visit_is_several_steps_where_steps_are_short() -> None:
    calls: list[int] = []

    class Watch(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(1)
            return super().forward(x.flatten(1))

    trial = work(Watch(108, 3)).trial(ONE)
    for seconds, expected in ((1e-9, 10), (0.0, 10), (1e-3, 5), (3e-3, 1), (2.0, 1)):
        calls.clear()
        trial.wall = seconds
        trial.visit()
        assert len(calls) == expected


def test_waiting_does_not_count_as_time_of_ones_own() -> None:
    class Waiting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.05)
            return super().forward(x.flatten(1))

    trial = work(Waiting(108, 3)).trial(ONE)
    trial.first_steps()
    assert trial.visit(count=1) >= 0.05
    assert trial.visit(count=1, own=True) < 0.05
    assert trial.wall >= 0.05


def test_steps_are_made_though_gradients_are_off() -> None:
    with torch.no_grad():
        losses = work().trial(ONE).first_steps().losses
    assert losses[0] != losses[1]


def test_a_trial_of_a_model_that_cannot_be_copied_says_so() -> None:
    model = network()
    model.cache = model[0].weight * 2  # type: ignore[operator]  # a tensor with a history
    with pytest.raises(RuntimeError, match="deepcopy"):
        Trial(work(model), ONE)
