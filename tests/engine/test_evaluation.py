from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import Batch, TensorSplit
from mlkit.engine.evaluation import evaluate_model, evaluation_mode, values
from mlkit.errors import DataError
from mlkit.metrics import for_task
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.losses import CrossEntropy, SquaredError, TokenCrossEntropy
from mlkit.runtime.precision import autocast
from mlkit.task import Task


def network() -> nn.Sequential:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5))
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), inner, nn.ReLU(), nn.Linear(6, 3))


def examples(count: int = 50) -> TensorSplit:
    stream = torch.Generator().manual_seed(1)
    return TensorSplit((torch.randn(count, 4, generator=stream),), torch.randint(0, 3, (count,), generator=stream))


def judged(model: nn.Module, split: TensorSplit, *, batch_size: int = 16, **change: Any) -> dict[str, Estimate]:
    arguments = {"metrics": [], "loss_fn": CrossEntropy(3), **change}
    return evaluate_model(model, SplitBatches(split, batch_size), **arguments)


def test_the_mode_of_every_single_module_comes_back() -> None:
    model = network().train()
    model[1].eval()
    model[2][1].eval()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    judged(model, examples())
    assert [module.training for module in model.modules()] == modes
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_modes_come_back_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError

    model = nn.Sequential(network(), Broken())
    model[0].eval()
    modes = [module.training for module in model.modules()]
    with pytest.raises(ZeroDivisionError):
        judged(model, examples())
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_nothing_of_the_model_and_of_the_data_changes() -> None:
    model, split = network().train(), examples()
    F.cross_entropy(model(split.inputs[0]), split.targets).backward()
    state, gradients = copy.deepcopy(model.state_dict()), [p.grad.clone() for p in model.parameters()]  # type: ignore[union-attr]
    inputs, stream = split.inputs[0].clone(), torch.get_rng_state()
    judged(model, split, metrics=for_task(Task("classification", "vector", (4,), num_outputs=3)))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))  # type: ignore[arg-type]
    assert torch.equal(split.inputs[0], inputs)
    assert torch.equal(torch.get_rng_state(), stream)


def test_dropout_is_off_and_statistics_are_the_running_ones() -> None:
    model, split = network().train(), examples()
    expected = F.cross_entropy(copy.deepcopy(model).eval()(split.inputs[0]), split.targets).item()
    assert judged(model, split)["loss"].value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 49, 50, 1000])
@pytest.mark.parametrize("loss_fn", [CrossEntropy(3), F.cross_entropy], ids=["per example", "mean only"])
def test_ragged_batches_give_what_the_whole_gives(batch_size: int, loss_fn: Any) -> None:
    model, split = network(), examples()
    metrics = for_task(Task("classification", "vector", (4,), num_outputs=3))
    found = judged(model, split, batch_size=batch_size, loss_fn=loss_fn, metrics=metrics)
    logits = model.eval()(split.inputs[0]).detach()
    assert found["loss"].value == pytest.approx(F.cross_entropy(logits, split.targets).item(), rel=1e-6)
    assert found["loss"].count == 50
    accuracy = (logits.argmax(1) == split.targets).double().mean().item()
    assert found["accuracy"].value == pytest.approx(accuracy, rel=1e-12)
    assert list(found) == ["loss", *(metric.name for metric in metrics)]


def test_the_interval_is_students_of_the_losses_of_single_examples() -> None:
    model, split = network().eval(), examples(200)
    found = judged(model, split)["loss"]
    losses = F.cross_entropy(model(split.inputs[0]), split.targets, reduction="none").double().detach().numpy()
    half = 1.97195654 * losses.std(ddof=1) / math.sqrt(200)
    assert found.value == pytest.approx(losses.mean(), rel=1e-6)
    assert found.low == pytest.approx(losses.mean() - half, rel=1e-4)
    assert found.high == pytest.approx(losses.mean() + half, rel=1e-4)
    assert found.method == "student"


def test_nineteen_intervals_of_twenty_hold_the_true_loss() -> None:
    """Losses are squares of standard normal numbers, so the true loss is 1."""
    stream = torch.Generator().manual_seed(3)
    hits = 0
    for _ in range(400):
        split = TensorSplit((torch.randn(400, 1, generator=stream),), torch.zeros(400, 1))
        found = judged(nn.Identity(), split, batch_size=400, loss_fn=SquaredError())["loss"]
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1.0 <= found.high
    assert 0.91 < hits / 400 < 0.98


def test_equal_losses_have_an_interval_without_width() -> None:
    split = TensorSplit((torch.full((10, 1), 3.0),), torch.zeros(10, 1))
    found = judged(nn.Identity(), split, batch_size=4, loss_fn=SquaredError())["loss"]
    assert (found.value, found.low, found.high) == pytest.approx((9.0, 9.0, 9.0), abs=1e-6)


def test_a_loss_that_gives_only_means_has_no_interval_and_says_why() -> None:
    found = judged(network(), examples(), loss_fn=F.cross_entropy)["loss"]
    assert (found.low, found.high) == (None, None)
    assert "not known" in found.method


def test_a_single_example_has_no_interval_and_says_why() -> None:
    found = judged(network(), examples(1))["loss"]
    assert (found.low, found.high, found.count) == (None, None, 1)
    assert "single example" in found.method


def test_no_examples_are_no_number() -> None:
    class Nothing:
        num_examples = 0

        def __len__(self) -> int:
            return 0

        def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
            yield from ()

    with pytest.raises(DataError, match="loss of an empty split"):
        evaluate_model(network(), Nothing(), metrics=[], loss_fn=CrossEntropy(3))


def test_every_token_that_counts_counts_the_same() -> None:
    stream = torch.Generator().manual_seed(2)
    logits = torch.randn(6, 5, 4, generator=stream)
    targets = torch.randint(0, 4, (6, 5), generator=stream)
    for row in range(6):
        targets[row, 5 - row // 2 :] = -100
    found = judged(nn.Identity(), TensorSplit((logits,), targets), batch_size=4, loss_fn=TokenCrossEntropy(4))["loss"]
    assert found.value == pytest.approx(F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item(), rel=1e-6)


def test_metrics_start_anew() -> None:
    model, metrics = network(), for_task(Task("classification", "vector", (4,), num_outputs=3))
    first = judged(model, examples(20), metrics=metrics)
    judged(model, examples(50), metrics=metrics)
    assert judged(model, examples(20), metrics=metrics) == first


def test_the_precision_is_that_of_the_forward_pass_alone() -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    def loss_fn(output: Tensor, targets: Tensor) -> Tensor:
        seen.append((output.dtype, torch.is_autocast_enabled("cpu")))
        return F.cross_entropy(output, targets)

    model = network()
    rounded = judged(model, examples(), loss_fn=loss_fn, precision=partial(autocast, "bfloat16", "cpu"))["loss"].value
    exact = judged(model, examples(), loss_fn=loss_fn)["loss"].value
    assert set(seen) == {(torch.float32, False)}
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=2e-2)


def test_inputs_by_name() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, *, x: Tensor) -> Tensor:
            y: Tensor = self.linear(x)
            return y

    class Named:
        num_examples = 20

        def __len__(self) -> int:
            return 1

        def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
            split = examples(20)
            yield Batch({"x": split.inputs[0]}, split.targets)

    model, split = ByName(), examples(20)
    found = evaluate_model(model, Named(), metrics=[], loss_fn=CrossEntropy(3))["loss"].value
    assert found == pytest.approx(F.cross_entropy(model(x=split.inputs[0]), split.targets).item(), rel=1e-6)


def test_what_a_model_makes_while_it_is_judged_can_be_trained_with() -> None:
    class Positions(nn.Module):
        """Makes its table of positions when it is first needed, as rotary embeddings do."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.table: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.table is None:
                self.table = torch.arange(3.0).cos()
            y: Tensor = self.linear(x) * self.table
            return y

    model, split = Positions(), examples()
    judged(model, split)
    F.cross_entropy(model(split.inputs[0]), split.targets).backward()


def test_values_are_the_bare_numbers() -> None:
    assert values({"loss": Estimate(0.5, 0.4, 0.6), "accuracy": Estimate(0.9)}) == {"loss": 0.5, "accuracy": 0.9}
