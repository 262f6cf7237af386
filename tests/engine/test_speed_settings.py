from __future__ import annotations

import copy
import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.speed_choice import step_at
from mlkit.engine.speed_settings import Speed, applied, forward_of, in_threads, off, prepare_model
from mlkit.errors import CheckpointError
from mlkit.runtime.threads import threads

CPU = torch.device("cpu")
FULL = Speed(
    threads=2,
    channels_last=True,
    precision="bfloat16",
    compiled=True,
    cuda_graph=True,
    reason="speed: everything",
    timings={"start": 0.25, "1 thread": 0.125},
)
LAYOUT = Speed(threads=1, channels_last=True)


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 4, 1),
        nn.ConvTranspose2d(4, 6, 2),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


def images(count: int = 8) -> Batch:
    stream = torch.Generator().manual_seed(1)
    return Batch((torch.randn(count, 3, 6, 6, generator=stream),), torch.randint(0, 5, (count,), generator=stream))


def made(steps: int = 0, name: Any = "adam") -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network and its optimiser after ``steps`` ordinary steps."""
    model = convolutions()
    with torch.no_grad():
        model(images().inputs[0])  # type: ignore[index]  # gives the lazy layer its shape
    optimizer = make_optimizer(model, name=name, lr=1e-2)
    train(model, optimizer, Speed(threads=1), steps)
    return model, optimizer


def train(model: nn.Module, optimizer: torch.optim.Optimizer, speed: Speed, steps: int) -> None:
    step = step_at(speed, model, F.cross_entropy, CPU)
    with applied(speed):
        for _ in range(steps):
            optimizer.zero_grad()
            step(model, images()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def layout(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """Strides of weights, gradients and the optimiser's state."""
    found: list[Any] = []
    for parameter in model.parameters():
        found += [parameter.stride(), None if parameter.grad is None else parameter.grad.stride()]
        state = optimizer.state.get(parameter, {})
        found += [(key, value.stride()) for key, value in state.items() if isinstance(value, torch.Tensor)]
    return found


def content(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Values of the same, in index order."""
    found: list[torch.Tensor] = [*model.state_dict().values()]
    found += [p.grad for p in model.parameters() if p.grad is not None]
    for state in optimizer.state.values():
        found += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return [x.detach().clone() for x in found]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("speed", [FULL, Speed(threads=1), LAYOUT])
def test_a_speed_survives_json(speed: Speed) -> None:
    assert Speed.from_dict(json.loads(json.dumps(speed.to_dict()))) == speed


def test_what_is_left_out_has_its_default() -> None:
    assert Speed.from_dict({"threads": 3}) == Speed(threads=3)


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 0},
        {"threads": -1},
        {"threads": True},
        {"threads": 1.5},
        {"threads": "2"},
        {"threads": None},
        {"precision": "float16"},
        {"precision": None},
        {"precision": ["bfloat16"]},
        {"channels_last": "yes"},
        {"channels_last": 1},
        {"compiled": None},
        {"cuda_graph": []},
        {"reason": 3},
        {"timings": [1.0]},
        {"timings": {"start": "fast"}},
        {"timings": {1: 1.0}},
        {"turbo": True},
    ],
)
def test_nonsense_in_a_record_is_refused(change: dict[Any, Any]) -> None:
    with pytest.raises(CheckpointError) as caught:
        Speed.from_dict({**asdict(FULL), **change})
    problem = caught.value.problems[0]
    assert problem.what == "the recorded speed settings cannot be read"
    assert str(next(iter(change.values()))) in str(problem.received)
    assert problem.allowed == "what Speed.to_dict() gives"
    assert problem.todo is not None


@pytest.mark.parametrize("values", [{}, None, [], "fast", 3, ["threads"]])
def test_something_else_than_a_record_is_refused(values: Any) -> None:
    with pytest.raises(CheckpointError, match="the recorded speed settings cannot be read"):
        Speed.from_dict(values)


def test_off_is_float32_with_the_threads_that_are_set() -> None:
    with threads(2):
        speed = off()
        assert speed == Speed(threads=2, reason="speed: off, float32 with 2 threads")
        assert str(speed) == speed.reason


def test_threads_are_applied_and_put_back_even_after_an_error() -> None:
    def fail() -> None:
        with applied(Speed(threads=before + 1)):
            assert torch.get_num_threads() == before + 1
            raise ZeroDivisionError

    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == before


def test_words_for_threads() -> None:
    assert [in_threads(count) for count in (1, 2, 16)] == ["1 thread", "2 threads", "16 threads"]


def test_a_model_without_the_wish_is_left_alone() -> None:
    model, optimizer = made(steps=1)
    before, pointers = layout(model, optimizer), [p.data_ptr() for p in model.parameters()]
    restore = prepare_model(model, Speed(threads=1, precision="bfloat16"), optimizer=optimizer)
    assert layout(model, optimizer) == before
    restore()
    assert [p.data_ptr() for p in model.parameters()] == pointers


def test_convolutions_are_laid_out_and_nothing_else() -> None:
    model, _ = made()
    others = {name: p.data_ptr() for name, p in model.named_parameters() if p.ndim != 4}
    prepare_model(model, LAYOUT)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last), name
        else:
            assert parameter.data_ptr() == others[name]
    assert model[0](images().inputs[0]).is_contiguous(memory_format=torch.channels_last)  # type: ignore[index]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("steps", [0, 2])
def test_values_stay_and_the_layout_comes_back(name: str, steps: int) -> None:
    model, optimizer = made(steps=steps, name=name)
    parameters, before, where = list(model.parameters()), content(model, optimizer), layout(model, optimizer)
    restore = prepare_model(model, LAYOUT, optimizer=optimizer)
    assert same(content(model, optimizer), before)
    assert layout(model, optimizer) != where
    for parameter in model.parameters():
        assert parameter.grad is None or parameter.grad.stride() == parameter.stride()
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, torch.Tensor) and value.ndim == 4:
                assert value.stride() == parameter.stride()
    restore()
    assert same(content(model, optimizer), before)
    assert layout(model, optimizer) == where
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert [id(p) for group in optimizer.param_groups for p in group["params"]] == [id(p) for p in parameters]


def test_what_was_trained_in_between_stays() -> None:
    model, optimizer = made(steps=1)
    where = layout(model, optimizer)
    restore = prepare_model(model, LAYOUT, optimizer=optimizer)
    train(model, optimizer, LAYOUT, 3)
    trained = content(model, optimizer)
    restore()
    assert same(content(model, optimizer), trained)
    assert layout(model, optimizer) == where


def test_channels_that_were_last_from_the_start_stay_so() -> None:
    model, optimizer = made(steps=1)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    where = [p.stride() for p in model.parameters()]
    prepare_model(model, LAYOUT, optimizer=optimizer)()
    assert [p.stride() for p in model.parameters()] == where


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_an_update_does_not_depend_on_the_layout(name: str) -> None:
    """Fused kernels walk through memory: weights, gradients and state must lie alike."""
    plain, plain_optimizer = made(steps=2, name=name)
    other, other_optimizer = made(steps=2, name=name)
    prepare_model(other, LAYOUT, optimizer=other_optimizer)
    stream = torch.Generator().manual_seed(2)
    for a, b in zip(plain.parameters(), other.parameters(), strict=True):
        a.grad = torch.randn(a.shape, generator=stream)
        b.grad = torch.empty_like(b).copy_(a.grad).detach()
    plain_optimizer.step()
    other_optimizer.step()
    assert same(content(plain, plain_optimizer), content(other, other_optimizer))


def test_parameters_that_share_memory_are_left() -> None:
    model = nn.ModuleDict({"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(3, 4, 3), "c": nn.Conv2d(3, 4, 3)})
    a, b, c = (model[name].weight for name in "abc")
    assert isinstance(a, nn.Parameter)
    assert isinstance(b, nn.Parameter)
    assert isinstance(c, nn.Parameter)
    b.data = a.data  # tied
    flat = torch.randn(2 * c.numel())
    c.data = flat[: c.numel()].view_as(c)  # a part of something
    prepare_model(model, LAYOUT)
    with torch.no_grad():
        a.fill_(1.0)
        flat.fill_(2.0)
    assert (b == 1.0).all()
    assert (c == 2.0).all()


def test_a_shared_convolution_is_laid_out_once() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    x = torch.randn(2, 4, 5, 5)
    before = model(x)
    prepare_model(model, LAYOUT)
    assert shared.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x), before)


@pytest.mark.parametrize(
    "speed", [Speed(threads=1), Speed(threads=2), LAYOUT, Speed(threads=2, channels_last=True, precision="bfloat16")]
)
def test_the_same_setting_gives_the_same_bits(speed: Speed) -> None:
    model, optimizer = made(steps=1)
    saved, saved_state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    prepare_model(model, speed, optimizer=optimizer)
    train(model, optimizer, speed, 3)
    again, again_optimizer = made()
    again.load_state_dict(saved)
    again_optimizer.load_state_dict(saved_state)
    replayed = Speed.from_dict(json.loads(json.dumps(speed.to_dict())))
    prepare_model(again, replayed, optimizer=again_optimizer)
    train(again, again_optimizer, replayed, 3)
    assert same(content(model, optimizer), content(again, again_optimizer))


def test_a_model_that_is_not_compiled_is_called_itself() -> None:
    model = nn.Linear(2, 2)
    assert forward_of(model, Speed(threads=1)) is model


@pytest.mark.slow
def test_a_compiled_model_shares_its_parameters() -> None:
    model = nn.Linear(2, 2)
    compiled = forward_of(model, Speed(threads=1, compiled=True))
    assert compiled is not model
    assert all(a is b for a, b in zip(model.parameters(), compiled.parameters(), strict=True))
