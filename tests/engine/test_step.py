from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.engine.step import StepFunction, backward, clip_gradients, forward, supervised, windows
from mlkit.runtime.precision import autocast

NAN, INF = float("nan"), float("inf")
BFLOAT16 = partial(autocast, "bfloat16", "cpu")


def network(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, outputs)).double()


def classes(count: int, seed: int) -> Batch:
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=stream, dtype=torch.float64)
    return Batch((x,), torch.randint(0, 3, (count,), generator=stream))


def numbers(count: int, seed: int) -> Batch:
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=stream, dtype=torch.float64)
    return Batch((x,), torch.randn(count, 3, generator=stream, dtype=torch.float64))


def joined(window: list[Batch]) -> Batch:
    return Batch((torch.cat([b.inputs[0] for b in window]),), torch.cat([b.targets for b in window]))  # type: ignore[index]


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_inputs_are_given_by_place_or_by_name() -> None:
    class Difference(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a - b

    a, b, targets = torch.tensor([5.0]), torch.tensor([3.0]), torch.zeros(1)
    assert forward(Difference(), Batch((a, b), targets)) == 2
    assert forward(Difference(), Batch({"b": a, "a": b}, targets)) == -2
    step = supervised(lambda output, targets: output.sum() + 10)
    assert step(Difference(), Batch((a, b), targets)) == 12
    assert step(Difference(), Batch({"b": a, "a": b}, targets)) == 8


@pytest.mark.parametrize("precision", [None, nullcontext, partial(autocast, "float32", "cpu")])
def test_in_full_precision_the_loss_gets_the_output_as_it_is(precision: Any) -> None:
    seen: list[Any] = []

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, str]:
            return x, "beside"

    def loss_fn(output: Any, targets: Tensor) -> Tensor:
        seen.append(output)
        return torch.as_tensor(output[0].sum())

    batch = classes(4, 0)
    supervised(loss_fn, precision)(Pair(), batch)
    assert seen[0][0] is batch.inputs[0]  # type: ignore[index]
    assert seen[0][1] == "beside"


def test_in_lower_precision_products_are_rounded_and_the_loss_is_not() -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    class Watch(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            seen.append((y.dtype, torch.is_autocast_enabled("cpu")))
            return y

    def loss_fn(output: Tensor, targets: Tensor) -> Tensor:
        seen.append((output.dtype, torch.is_autocast_enabled("cpu")))
        return F.mse_loss(output, targets)

    torch.manual_seed(0)
    model, x = Watch(16, 4), torch.randn(8, 16)
    loss = supervised(loss_fn, BFLOAT16)(model, Batch((x,), torch.zeros(8, 4)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert seen == [(torch.bfloat16, True), (torch.float32, False)]
    assert loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    by_hand = (x.bfloat16() @ model.weight.bfloat16().T + model.bias.bfloat16()).float()
    assert loss.item() == pytest.approx(by_hand.square().mean().item(), rel=1e-2)


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [(0, 3, []), (1, 3, [1]), (6, 3, [3, 3]), (7, 3, [3, 3, 1]), (4, 1, [1] * 4), (2, 10, [2])],
)
def test_windows(count: int, size: int, lengths: list[int]) -> None:
    batches = [classes(2, seed) for seed in range(count)]
    found = list(windows(iter(batches), size))
    assert [len(window) for window in found] == lengths
    assert all(a is b for a, b in zip((batch for window in found for batch in window), batches, strict=True))


@pytest.mark.parametrize("size", [1, 2])
def test_windows_read_no_further_than_they_need(size: int) -> None:
    read: list[int] = []

    def source() -> Iterator[Batch]:
        for number in range(6):
            read.append(number)
            yield classes(1, number)

    stream = windows(source(), size)
    for count in (1, 2, 3):
        next(stream)
        assert len(read) == size * count


@pytest.mark.parametrize("sizes", [[8], [4, 4], [8, 8, 3], [1, 30, 2], [1, 1, 1, 1]])
@pytest.mark.parametrize(
    ("make", "loss_fn"), [(classes, F.cross_entropy), (numbers, F.mse_loss), (numbers, F.smooth_l1_loss)]
)
def test_a_ragged_window_has_the_gradient_of_the_joined_batch(sizes: list[int], make: Any, loss_fn: Any) -> None:
    model = network()
    whole = copy.deepcopy(model)
    window = [make(size, seed) for seed, size in enumerate(sizes)]
    loss, count = backward(model, window, supervised(loss_fn))
    x, targets = joined(window)
    expected = loss_fn(whole(*x), targets)
    expected.backward()
    assert count == sum(sizes)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(model), gradients(whole), rtol=1e-12, atol=1e-12)


def test_the_loss_of_a_window_is_cut_from_the_graph() -> None:
    for window in ([classes(4, 0)], [classes(4, 0), classes(2, 1)]):
        loss, _ = backward(network(), window, supervised(F.cross_entropy))
        assert loss.shape == ()
        assert not loss.requires_grad


def test_gradients_add_to_what_is_there() -> None:
    model = network()
    window = [classes(4, 0), classes(3, 1)]
    backward(model, window, supervised(F.cross_entropy))
    once = gradients(model)
    backward(model, window, supervised(F.cross_entropy))
    torch.testing.assert_close(gradients(model), [2 * gradient for gradient in once])


def test_a_step_of_ones_own_is_used() -> None:
    model = network(outputs=1)

    def step(model: nn.Module, batch: Batch) -> Tensor:
        return forward(model, batch).square().mean() + 5

    own: StepFunction = step
    loss, count = backward(model, [classes(4, 0), classes(2, 1)], own)
    x = joined([classes(4, 0), classes(2, 1)]).inputs[0]  # type: ignore[index]
    assert count == 6
    assert loss.item() == pytest.approx(model(x).square().mean().item() + 5, rel=1e-12)


@pytest.mark.parametrize("losses", [[INF], [NAN], [NAN, 1.0], [1.0, -INF, 1.0]])
def test_no_gradient_is_computed_from_a_loss_that_is_no_number(losses: list[float]) -> None:
    model = network()
    factors = iter(losses)

    def step(model: nn.Module, batch: Batch) -> Tensor:
        return forward(model, batch).square().mean() * next(factors)

    loss, _ = backward(model, [classes(4, seed) for seed in range(len(losses))], step)
    assert not torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(model))


@pytest.mark.parametrize("count", [1, 3])
def test_gradients_of_the_update_before_are_cleared_once_the_loss_is_known(count: int) -> None:
    model, window = network(), [classes(4, seed) for seed in range(count)]
    backward(model, window, supervised(F.cross_entropy))
    expected = gradients(model)
    calls: list[int] = []

    def clear() -> None:
        calls.append(1)
        model.zero_grad(set_to_none=True)

    backward(model, window, supervised(F.cross_entropy), clear=clear)
    torch.testing.assert_close(gradients(model), expected, rtol=0, atol=0)
    assert calls == [1]
    backward(model, window, lambda model, batch: forward(model, batch).mean() * NAN, clear=clear)
    torch.testing.assert_close(gradients(model), expected, rtol=0, atol=0)
    assert calls == [1]


@pytest.mark.parametrize("max_norm", [0.5, 5.0, 50.0])
def test_clipping_scales_all_gradients_alike(max_norm: float) -> None:
    model = nn.ModuleList([nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 1)])
    model[0].weight.grad, model[1].weight.grad = torch.tensor([[3.0]]), torch.tensor([[-4.0]])  # a norm of 5
    norm = clip_gradients(model, max_norm)
    assert norm.item() == pytest.approx(5.0)
    factor = min(1.0, max_norm / 5.0)
    found = [gradient.item() for gradient in gradients(model)]
    assert found == pytest.approx([3.0 * factor, -4.0 * factor], rel=1e-5)
