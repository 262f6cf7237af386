from __future__ import annotations

import copy
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.speed import Speed, choose_speed
from mlkit.engine.speed_threads import stalls
from mlkit.runtime import hardware
from mlkit.runtime.threads import available_cores, threads

CPU = torch.device("cpu")
Condition = Callable[[nn.Conv2d], bool]


def spin(seconds: float) -> None:
    """Work for so long, by the clock of this thread, so that every way of timing sees it."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def lies_last(layer: nn.Conv2d) -> bool:
    return layer.weight.is_contiguous(memory_format=torch.channels_last)


def lies_first(layer: nn.Conv2d) -> bool:
    return not lies_last(layer)


def in_bfloat16(layer: nn.Conv2d) -> bool:
    return torch.is_autocast_enabled("cpu")


def in_float32(layer: nn.Conv2d) -> bool:
    return not in_bfloat16(layer)


def after_an_update_in_bfloat16(layer: nn.Conv2d) -> bool:
    return in_bfloat16(layer) and bool((layer.weight - layer.start).abs().max() > 1e-6)  # type: ignore[operator]


class Net(nn.Module):
    """A small network that takes 3 ms more, fails, or computes something else under the given conditions."""

    def __init__(
        self,
        *,
        slow: Condition | None = None,
        fails: Condition | None = None,
        wrong: Condition | None = None,
        wrong_by: float = 1.5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.conv.register_buffer("start", self.conv.weight.detach().clone())
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(64, 3)
        self.slow, self.fails, self.wrong, self.wrong_by = slow, fails, wrong, wrong_by

    def forward(self, x: Tensor) -> Tensor:
        if self.slow is not None and self.slow(self.conv):
            spin(0.003)
        if self.fails is not None and self.fails(self.conv):
            raise RuntimeError("no kernel\nfor this")
        y: Tensor = self.linear(self.dropout(F.relu(self.norm(self.conv(x)))).flatten(1))
        return y * self.wrong_by if self.wrong is not None and self.wrong(self.conv) else y


def images(*, dtype: torch.dtype = torch.float32) -> Batch:
    stream = torch.Generator().manual_seed(1)
    inputs = torch.randn(16, 3, 6, 6, generator=stream, dtype=dtype)
    return Batch((inputs,), torch.randint(0, 3, (16,), generator=stream))


def chosen(model: nn.Module, batch: Batch | None = None, **change: Any) -> Speed:
    arguments: dict[str, Any] = {
        "loss_fn": F.cross_entropy,
        "make_optimizer": make_optimizer,
        "device": CPU,
        "expected_steps": None,
        "cores": 1,
    }
    speed = choose_speed(model, batch or images(), **{**arguments, **change})
    assert speed.reason.startswith("speed: ")
    assert speed.reason.isprintable()  # so it is one line
    assert len(speed.reason) < 240
    assert Speed.from_dict(speed.to_dict()) == speed
    assert not speed.compiled
    assert not speed.cuda_graph
    return speed


@pytest.fixture(params=[True, False], ids=["bfloat16", "no bfloat16"])
def any_processor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    return processor(tmp_path, monkeypatch, bfloat16=request.param)


@pytest.fixture
def _bfloat16_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(tmp_path, monkeypatch, bfloat16=True)


@pytest.fixture
def _float32_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(tmp_path, monkeypatch, bfloat16=False)


def processor(folder: Path, monkeypatch: pytest.MonkeyPatch, *, bfloat16: bool) -> bool:
    """Linux's description of a processor with or without bfloat16; torch computes in it either way."""
    description = folder / "cpuinfo"
    description.write_text("flags : avx512f avx512_bf16\n" if bfloat16 else "flags : avx2\n")
    monkeypatch.setattr(hardware, "_CPUINFO", description)
    return bfloat16


@pytest.mark.usefixtures("_float32_processor")
class TestThreads:
    def test_threads_that_hinder_are_not_taken(self) -> None:
        speed = chosen(Net(slow=lambda _: torch.get_num_threads() == 2), cores=2)
        assert speed.threads == 1
        assert speed.reason.startswith("speed: 1 thread (2 threads ")

    def test_threads_that_help_are_taken(self) -> None:
        for _ in range(5):  # other programs may hold up a step
            speed = chosen(Net(slow=lambda _: torch.get_num_threads() == 1), cores=2)
            if speed.threads == 2:
                break
        if speed.threads == 1 and ("stall" in speed.reason or os.getloadavg()[0] > available_cores()):
            pytest.skip("the cores are busy")
        assert speed.threads == 2
        assert speed.reason.startswith("speed: 2 threads ")
        assert speed.timings["2 threads"] < speed.timings["1 thread"]

    def test_one_core_is_one_thread(self) -> None:
        speed = chosen(nn.Sequential(nn.Flatten(), nn.Linear(108, 3)))
        assert speed == Speed(1, reason="speed: 1 thread; bfloat16 not in this CPU", timings=speed.timings)


@pytest.mark.usefixtures("_float32_processor")
class TestLayout:
    def test_a_faster_layout_is_taken(self) -> None:
        speed = chosen(Net(slow=lies_first))
        assert speed.channels_last
        assert "channels-last" in speed.reason
        assert speed.timings["channels-last"] < speed.timings["1 thread"]

    def test_a_layout_is_taken_though_dropout_draws_in_another_order(self) -> None:
        assert chosen(Net(slow=lies_first, dropout=0.5)).channels_last

    def test_a_slower_layout_is_not(self) -> None:
        speed = chosen(Net(slow=lies_last))
        assert not speed.channels_last
        assert "channels-last only 0." in speed.reason

    def test_a_layout_that_fails_is_not(self) -> None:
        speed = chosen(Net(slow=lies_first, fails=lies_last))
        assert not speed.channels_last
        assert "channels-last failed (RuntimeError)" in speed.reason

    @pytest.mark.parametrize("wrong_by", [1.01, 0.99, 1e9, float("nan"), float("inf")])
    def test_a_faster_layout_with_other_losses_is_not(self, wrong_by: float) -> None:
        speed = chosen(Net(slow=lies_first, wrong=lies_last, wrong_by=wrong_by))
        assert not speed.channels_last
        assert "channels-last refused: its " in speed.reason

    def test_models_without_convolutions_are_not_tried(self) -> None:
        assert "channels" not in chosen(nn.Sequential(nn.Flatten(), nn.Linear(108, 3))).reason


@pytest.mark.usefixtures("_bfloat16_processor")
class TestPrecision:
    def test_a_faster_precision_is_taken(self) -> None:
        speed = chosen(Net(slow=in_float32))
        assert speed.precision == "bfloat16"
        assert "bfloat16" in speed.timings

    def test_a_slower_precision_is_not(self) -> None:
        speed = chosen(Net(slow=in_bfloat16))
        assert speed.precision == "float32"
        assert "bfloat16 only 0." in speed.reason

    def test_layout_and_precision_can_be_taken_together(self) -> None:
        def slow(layer: nn.Conv2d) -> bool:
            if lies_first(layer):
                spin(0.003)
            return in_float32(layer)

        speed = chosen(Net(slow=slow))
        assert (speed.channels_last, speed.precision) == (True, "bfloat16")

    def test_outputs_that_are_off_though_the_loss_hardly_moves_are_refused(self) -> None:
        """At first cross-entropy is near ln(classes) whatever the outputs are."""
        model = Net(slow=in_float32, wrong=in_bfloat16, wrong_by=1.25)
        nn.init.normal_(model.linear.weight, std=1e-3)
        nn.init.zeros_(model.linear.bias)
        speed = chosen(model)
        assert speed.precision == "float32"
        assert "bfloat16 refused: its outputs are off by 2" in speed.reason
        assert "allowed 5.00%" in speed.reason

    def test_a_last_layer_of_zeros_is_no_objection(self) -> None:
        model = Net(slow=in_float32)
        nn.init.zeros_(model.linear.weight)
        nn.init.zeros_(model.linear.bias)
        assert chosen(model).precision == "bfloat16"

    def test_rounding_that_spoils_the_loss_is_refused(self) -> None:
        class Cancelling(Net):
            def forward(self, x: Tensor) -> Tensor:
                return (super().forward(x) + 256) - 256  # bfloat16 counts in steps of 2 there

        speed = chosen(Cancelling(slow=in_float32))
        assert speed.precision == "float32"
        assert "bfloat16 refused: its loss is off by" in speed.reason
        assert "allowed 1.00%" in speed.reason

    @pytest.mark.parametrize("wrong_by", [1.1, 1e9, float("nan"), float("inf")])
    def test_what_goes_wrong_only_after_an_update_is_refused(self, wrong_by: float) -> None:
        speed = chosen(Net(slow=in_float32, wrong=after_an_update_in_bfloat16, wrong_by=wrong_by))
        assert speed.precision == "float32"
        assert "bfloat16 refused: its " in speed.reason

    def test_a_run_that_is_lost_anyway_stays_in_float32(self) -> None:
        speed = chosen(Net(slow=in_float32, wrong=lambda _: True, wrong_by=float("nan")))
        assert speed.precision == "float32"
        assert "is not finite" in speed.reason

    def test_a_failing_precision_is_not_taken(self) -> None:
        speed = chosen(Net(slow=in_float32, fails=in_bfloat16))
        assert speed.precision == "float32"
        assert "bfloat16 failed (RuntimeError)" in speed.reason

    def test_float64_is_not_rounded(self) -> None:
        speed = chosen(Net(slow=in_float32).double(), images(dtype=torch.float64))
        assert speed.precision == "float32"
        assert "bfloat16 is for float32 models" in speed.reason


@pytest.mark.usefixtures("_float32_processor")
def test_bfloat16_is_left_to_processors_that_have_it() -> None:
    speed = chosen(Net(slow=in_float32))
    assert speed.precision == "float32"
    assert "bfloat16 not in this CPU" in speed.reason


class Awkward(Net):
    """Changes its input and its buffers in place, and draws from every generator."""

    def __init__(self, **change: Any) -> None:
        super().__init__(**change)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        random.random()
        np.random.rand()
        torch.rand(1)
        return super().forward(x.mul_(0.99))


def everything(model: nn.Module, batch: Batch) -> dict[str, Any]:
    """All that choosing a speed must leave as it is."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    return {
        "state": {name: (x.clone(), x.stride(), x.data_ptr()) for name, x in model.state_dict().items()},
        "gradients": {
            name: None if p.grad is None else (p.grad.clone(), p.grad.stride(), p.grad.data_ptr())
            for name, p in model.named_parameters()
        },
        "trainable": [p.requires_grad for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "batch": [x.clone() for x in (*batch.inputs, batch.targets)],  # type: ignore[misc]
        "random": (python, repr(numpy), torch.get_rng_state()),
        "threads": torch.get_num_threads(),
        "grad_mode": torch.is_grad_enabled(),
    }


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def penalised(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda y, t: F.cross_entropy(y, t) + 1e-3 * sum(p.square().sum() for p in model.parameters())


@pytest.mark.parametrize(("gradients", "count"), [(True, 2), (False, 1)])
@pytest.mark.parametrize(
    "change",
    [{}, {"slow": lies_first}, {"slow": in_float32}, {"fails": lies_last}, {"fails": lambda _: True}],
    ids=["plain", "layout", "precision", "failing layout", "failing"],
)
def test_everything_is_as_before(any_processor: bool, change: dict[str, Any], gradients: bool, count: int) -> None:
    model, batch = Awkward(**change, dropout=0.3), images()
    model.norm.eval()
    model.linear.bias.requires_grad_(False)
    if gradients:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 0.25)
    random.random()
    torch.rand(3)
    with threads(count):
        before = everything(model, batch)
        chosen(model, batch, cores=2, loss_fn=penalised(model))
        assert_same(everything(model, batch), before)


@pytest.mark.parametrize("wish", ["interrupt", "optimizer"])
def test_everything_is_as_before_when_it_is_interrupted(wish: str) -> None:
    def interrupted(layer: nn.Conv2d) -> bool:
        if wish == "interrupt":
            raise KeyboardInterrupt
        return False

    def no_optimizer(model: nn.Module) -> torch.optim.Optimizer:
        raise SystemExit

    model, batch = Awkward(slow=interrupted), images()
    model(batch.inputs[0]).sum().backward() if wish == "optimizer" else None  # type: ignore[index]
    before = everything(model, batch)
    with threads(2), pytest.raises((KeyboardInterrupt, SystemExit)):
        chosen(model, batch, make_optimizer=no_optimizer if wish == "optimizer" else make_optimizer)
    assert_same(everything(model, batch), before)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (nn.Linear(7, 3), "RuntimeError"),
        (Net(fails=lambda _: True), "RuntimeError"),
        (nn.Sequential(nn.Flatten()), "ModelError"),  # nothing to train
    ],
)
def test_a_model_that_cannot_make_a_step_is_left_to_the_run(model: nn.Module, error: str) -> None:
    with threads(2):
        speed = chosen(model)
    assert speed == Speed(2, reason=f"speed: not measured, since a trial step failed ({error})")


def test_an_optimizer_that_wants_a_closure_is_left_to_the_run() -> None:
    speed = chosen(Net(), make_optimizer=lambda model: torch.optim.LBFGS(model.parameters()))
    assert "not measured, since a trial step failed (TypeError)" in speed.reason


def test_other_devices_are_not_measured() -> None:
    with threads(2):
        speed = chosen(Net(), device=torch.device("meta"))
    assert speed == Speed(2, reason="speed: float32; nothing is measured on meta")


class Counted(nn.Module):
    """Counts its forward passes, each of which takes at least ``seconds``, and how many copies live at once."""

    calls: ClassVar[int] = 0
    alive: ClassVar[WeakSet[nn.Module]] = WeakSet()
    most: ClassVar[int] = 0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.conv = nn.Conv2d(3, 4, 6)
        Counted.calls = Counted.most = 0
        Counted.alive.clear()

    def __setstate__(self, state: Any) -> None:  # a copy is made
        super().__setstate__(state)
        Counted.alive.add(self)
        Counted.most = max(Counted.most, len(Counted.alive))

    def __hash__(self) -> int:
        return id(self)

    def forward(self, x: Tensor) -> Tensor:
        Counted.calls += 1
        time.sleep(self.seconds)
        y: Tensor = self.conv(x).flatten(1)
        return y


@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.12])
@pytest.mark.parametrize("expected_steps", [0, 1, 5])
def test_short_runs_make_the_first_steps_and_no_more(seconds: float, expected_steps: int) -> None:
    with threads(1):
        speed = chosen(Counted(seconds), expected_steps=expected_steps, cores=4)
    assert Counted.calls == 2
    assert (speed.channels_last, speed.precision) == (False, "float32")
    if seconds == 0.12:
        assert speed.reason == "speed: float32 with 1 thread: the run is too short to measure more"


def test_short_runs_of_long_steps_have_the_threads_that_are_set() -> None:
    with threads(2):
        tries = [chosen(Counted(0.003), expected_steps=5, cores=2).threads for _ in range(5)]
        assert set(tries) <= {1, 2}
        assert 2 in tries or any(stalls(2) for _ in range(5))


@pytest.mark.parametrize(("seconds", "expected_steps", "budget"), [(0.03, 400, 0.24), (0.11, 200, 0.44)])
def test_the_search_ends_when_its_time_is_over(seconds: float, expected_steps: int, budget: float) -> None:
    """Every step takes at least ``seconds``, so that their number, unlike the time, does not depend on the machine.

    Allowed is 2 % of the run, as long as the first steps make it, and what each attempt has begun.
    """
    begin = time.perf_counter()
    speed = chosen(Counted(seconds), expected_steps=expected_steps, cores=8)
    took = time.perf_counter() - begin
    first = speed.timings["start"]
    assert Counted.calls <= 2 + 0.02 * expected_steps * first / seconds + 12
    assert took < 3 * (budget + 14 * max(first, seconds)) + 2


@pytest.mark.slow
def test_the_search_takes_two_seconds_or_a_dozen_steps_of_a_run_without_end() -> None:
    for seconds in (0.02, 0.3):
        chosen(Counted(seconds), cores=2)
        assert Counted.calls <= 2 + max(2.0 / seconds, 15) + 12


def test_two_copies_of_the_model_live_at_a_time_and_none_afterwards(any_processor: bool) -> None:
    chosen(Counted(0.0), cores=2)
    assert Counted.most == 2
    assert len(Counted.alive) == 0


@pytest.mark.usefixtures("_bfloat16_processor")
def test_a_choice_that_is_replayed_gives_the_same_bits() -> None:
    from mlkit.engine.fit import fit

    model, (inputs, targets) = Net(slow=lambda layer: lies_first(layer) or in_float32(layer)), images()
    speed = chosen(model)
    ends = []
    for _ in range(2):
        again = copy.deepcopy(model)
        fit(again, (inputs[0], targets), max_epochs=3, batch_size=8, speed=speed, device="cpu")  # type: ignore[index]
        ends.append(again.state_dict())
    assert_same(ends[0], ends[1])
