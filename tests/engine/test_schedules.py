from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from mlkit.engine.schedules import Schedule, apply, make_schedule
from mlkit.errors import ConfigError


def test_constant() -> None:
    assert [make_schedule()(step) for step in (0, 1, 10**9)] == [1.0, 1.0, 1.0]


def test_cosine_in_closed_form() -> None:
    schedule = make_schedule("cosine", total_steps=100, final_factor=0.2)
    assert schedule(0) == 1.0
    assert schedule(50) == pytest.approx(0.6)
    assert schedule(25) == pytest.approx(0.2 + 0.8 * (1 + 0.5**0.5) / 2)
    assert schedule(99) > 0.2
    assert schedule(100) == schedule(10_000) == pytest.approx(0.2)


def test_linear_in_closed_form() -> None:
    schedule = make_schedule("linear", total_steps=10, final_factor=0.5)
    assert [schedule(step) for step in (0, 5, 10, 11)] == pytest.approx([1.0, 0.75, 0.5, 0.5])


def test_step_drops_where_it_says() -> None:
    schedule = make_schedule("step", step_every=30, gamma=0.1)
    assert [schedule(step) for step in (0, 29, 30, 59, 60)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(("warmup", "peak"), [(0, 30), (10, 10)])
def test_one_cycle_has_one_peak(warmup: int, peak: int) -> None:
    schedule = make_schedule("one_cycle", total_steps=100, warmup_steps=warmup)
    factors = [schedule(step) for step in range(101)]
    assert factors.index(max(factors)) == peak
    assert max(factors) == 1.0
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[0] == pytest.approx(1 / 25)
    assert factors[-1] == pytest.approx(0.0)


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "step"])
def test_the_warm_up_rises_evenly_and_meets_the_rest(name: Any) -> None:
    schedule = make_schedule(name, total_steps=1000, warmup_steps=10, step_every=500)
    factors = [schedule(step) for step in range(12)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[9] == factors[10] == 1.0
    assert abs(factors[11] - factors[10]) < 0.01


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "one_cycle", "step"])
@pytest.mark.parametrize("total", [1, 2, 3, 7, 100])
def test_every_factor_is_in_the_unit_interval(name: Any, total: int) -> None:
    schedule = make_schedule(name, total_steps=total, step_every=2)
    assert all(0 <= schedule(step) <= 1 for step in range(2 * total))
    assert schedule(total // 3) > 0, "a step at a rate of zero is wasted"


def rates_of_torch(make: Any, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def rates_of_ours(schedule: Schedule, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    rates = []
    for step in range(steps):
        apply(schedule, optimizer, step)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def warmed(optimizer: Any, main: Any, steps: int) -> Any:
    warm = lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps - 1)
    return lr_scheduler.SequentialLR(optimizer, [warm, main], milestones=[steps])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            make_schedule("cosine", total_steps=60, final_factor=0.1),
            lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=60, eta_min=0.05),
        ),
        (
            make_schedule("linear", total_steps=60, final_factor=0.1),
            lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=60),
        ),
        (make_schedule("step", step_every=7, gamma=0.5), lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.5)),
        (
            # torch counts its peak from 0 to pct_start * total_steps - 1 and ends at the last step, not after it
            make_schedule("one_cycle", total_steps=60, warmup_steps=17),
            lambda o: lr_scheduler.OneCycleLR(
                o, max_lr=0.5, total_steps=61, pct_start=18 / 61, final_div_factor=1e12, cycle_momentum=False
            ),
        ),
        (
            make_schedule("cosine", total_steps=60, warmup_steps=10),
            lambda o: warmed(o, lr_scheduler.CosineAnnealingLR(o, T_max=50), 10),
        ),
    ],
    ids=["cosine", "linear", "step", "one_cycle", "warmed cosine"],
)
# SequentialLR itself passes the argument that its members warn of
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_agreement_with_torch(ours: Schedule, theirs: Any) -> None:
    assert rates_of_ours(ours, 60) == pytest.approx(rates_of_torch(theirs, 60), rel=1e-6, abs=1e-9)


def test_each_group_keeps_its_own_base_and_repeats_do_not_add_up() -> None:
    one, two = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [one], "lr": 0.1}, {"params": [two], "lr": 0.4}], lr=1.0)
    schedule = make_schedule("linear", total_steps=4)
    for _ in range(3):
        apply(schedule, optimizer, 2)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.2])


def test_a_rate_that_is_a_tensor_stays_that_tensor() -> None:
    rate = torch.tensor(0.5)
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=rate, capturable=False, foreach=False)
    apply(make_schedule("linear", total_steps=4), optimizer, 2)
    apply(make_schedule("linear", total_steps=4), optimizer, 2)
    assert optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(0.25)


def test_a_saved_optimizer_remembers_its_base() -> None:
    def fresh() -> torch.optim.Optimizer:
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)

    schedule = make_schedule("cosine", total_steps=10)
    optimizer = fresh()
    apply(schedule, optimizer, 7)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed = fresh()
    resumed.load_state_dict(torch.load(file, weights_only=True))
    apply(schedule, optimizer, 8)
    apply(schedule, resumed, 8)
    assert resumed.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("name", ["linear", "cosine", "one_cycle"])
def test_an_open_end_is_refused_where_the_end_matters(name: Any) -> None:
    with pytest.raises(ConfigError, match=f"the schedule '{name}' needs to know when the run ends"):
        make_schedule(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "cosin", "total_steps": 5}, "did you mean 'cosine'?"),
        ({"name": "step"}, "needs to know when to drop"),
        ({"name": "step", "step_every": 5, "warmup_steps": 6}, "the first drop lies within the warm-up"),
        ({"name": "cosine", "total_steps": 5, "warmup_steps": 5}, "the warm-up is as long as the run"),
        ({"name": "cosine", "total_steps": 0}, "the run has no steps"),
        ({"warmup_steps": -1}, "the warm-up is negative"),
        ({"name": "linear", "total_steps": 5, "final_factor": 2.0}, "the final factor is not usable"),
        ({"name": "step", "step_every": 5, "gamma": 0.0}, "gamma is not usable"),
    ],
)
def test_settings_that_cannot_be_right(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_schedule(**settings)
    assert message in str(caught.value)


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        make_schedule("linear", warmup_steps=-1, final_factor=-1.0, gamma=3.0)
    assert len(caught.value.problems) == 4
