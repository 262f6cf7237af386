from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlkit.errors import ConfigError, DataError, ModelError
from mlkit.metrics.losses import CrossEntropy, SquaredError, TaskLoss, TokenCrossEntropy, align, loss_for
from mlkit.task import Task, TaskKind


def task(kind: TaskKind = "classification", num_outputs: int = 3) -> Task:
    return Task(kind, "vector", (4,), num_outputs=num_outputs)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 1, 2, 2, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True])
def test_classes_have_torchs_cross_entropy(smoothing: float, soft: bool) -> None:
    logits, target = normal(5, 3), normal(5, 3, seed=1).softmax(1) if soft else LABELS
    loss = loss_for(task(), label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target, label_smoothing=smoothing))
    torch.testing.assert_close(loss.per_example(logits, target).mean(), loss(logits, target))


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([0, 1, 1, 0, 1, 0]),
        torch.tensor([[0], [1], [1], [0], [1], [0]]),
        torch.tensor([0, 1, 1, 0, 1, 0], dtype=torch.bool),
        torch.tensor([0, 1, 1, 0, 1, 0], dtype=torch.uint8),
        torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
        torch.tensor([0.2, 0.9, 0.5, 0.0, 1.0, 0.3]),
        torch.tensor([[0.2], [0.9], [0.5], [0.0], [1.0], [0.3]]),
    ],
)
def test_one_logit_has_torchs_binary_cross_entropy_and_gradient(shape: tuple[int, ...], target: Tensor) -> None:
    logit = (normal(6) * 4).reshape(shape).requires_grad_()
    reference = logit.detach().clone().requires_grad_()
    loss = CrossEntropy(2)(logit, target)
    expected = F.binary_cross_entropy_with_logits(reference.flatten(), target.flatten().float())
    torch.testing.assert_close(loss, expected)
    loss.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logit.grad, reference.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_logit_stands_for_two(smoothing: float) -> None:
    z, loss = normal(6), CrossEntropy(2, smoothing)
    both = torch.stack([torch.zeros(6), z], 1)
    for target in (torch.tensor([0, 1, 1, 0, 1, 0]), normal(6, 2, seed=1).softmax(1)):
        torch.testing.assert_close(loss(z, target), loss(both, target))
        torch.testing.assert_close(loss.per_example(z[:, None], target), loss.per_example(both, target))


def test_probabilities_in_double_go_with_single_logits() -> None:
    target = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    assert CrossEntropy(3)(torch.zeros(1, 3), target).item() == pytest.approx(math.log(3))


def test_classes_marked_as_not_counting_count_neither_in_the_mean_nor_as_terms() -> None:
    logits, target, loss = normal(5, 3), torch.tensor([0, -100, 2, -100, 1]), CrossEntropy(3)
    counted = target >= 0
    torch.testing.assert_close(loss(logits, target), loss(logits[counted], target[counted]))
    assert loss.terms(target).tolist() == [1, 0, 1, 0, 1]
    assert loss.per_example(logits, target)[~counted].tolist() == [0.0, 0.0]
    assert loss.terms(torch.full((5, 3), 1 / 3)).tolist() == [1] * 5


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize(("signs", "mean"), [([[1.0, -1.0], [-1.0, 1.0]], 1.0), ([-1.0, 1.0], 0.5)])
def test_huge_logits_give_finite_losses_and_gradients(size: float, signs: list[float], mean: float) -> None:
    output = (torch.tensor(signs) * size).requires_grad_()
    loss = CrossEntropy(2)(output, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(size * mean)
    loss.backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert bool(output.grad.isfinite().all())


def test_numbers_have_torchs_squared_error_and_never_broadcast() -> None:
    output, target = normal(6, 1), normal(6, seed=1)
    loss = loss_for(task("regression", 1))
    expected = F.mse_loss(output.flatten(), target)
    for x, y in ((output, target), (output.flatten(), target[:, None]), (output.flatten(), target)):
        torch.testing.assert_close(loss(x, y), expected)
        torch.testing.assert_close(loss.per_example(x, y).mean(), expected)
    assert loss.per_example(output, target).shape == (6,)


def test_several_columns_and_windows_are_averaged_by_example() -> None:
    output, target = normal(4, 5, 2), normal(4, 5, 2, seed=1)
    each = SquaredError().per_example(output, target)
    torch.testing.assert_close(each, (output - target).square().mean((1, 2)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_squared_errors_of_another_dtype_are_computed_in_at_least_single(dtype: torch.dtype) -> None:
    output, target = normal(8, 1).to(dtype), normal(8, 1, seed=1)
    wide = torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(SquaredError()(output, target), F.mse_loss(output.to(wide), target.to(wide)))


def test_integer_targets_are_numbers_too() -> None:
    output, target = align(torch.zeros(3), torch.tensor([1, 2, 3]))
    assert output.shape == target.shape == (3, 1)
    assert target.dtype == torch.float32


@pytest.mark.parametrize(
    ("out", "targets"), [((6, 2), (6, 1)), ((6, 1), (5, 1)), ((6, 2), (6,)), ((6,), (1,)), ((), ())]
)
def test_numbers_of_other_shapes_are_refused(out: tuple[int, ...], targets: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        SquaredError().per_example(torch.zeros(out), torch.zeros(targets))
    (problem,) = caught.value.problems
    assert problem.what == "the model's output does not fit the targets"
    assert problem.received == f"output {out} for targets {targets}"
    if out != targets:
        with pytest.raises(ModelError, match="does not fit the targets"):
            SquaredError()(torch.zeros(out), torch.zeros(targets))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_tokens_have_torchs_cross_entropy(dtype: torch.dtype) -> None:
    logits, target = normal(2, 4, 200), torch.tensor([[156, 1, 2, 0], [3, 199, 156, 7]]).to(dtype)
    loss = loss_for(task("next_token", 200))
    expected = F.cross_entropy(logits.flatten(0, 1), target.flatten().long())
    torch.testing.assert_close(loss(logits, target), expected)
    torch.testing.assert_close(loss.per_example(logits, target).mean(), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_tokens_to_leave_out_leave_mean_and_terms_right(smoothing: float) -> None:
    logits, loss = normal(3, 4, 5), TokenCrossEntropy(5, smoothing)
    target = torch.tensor([[1, 2, -100, -100], [0, 3, 4, -100], [-100, -100, -100, -100]])
    counted = target >= 0
    expected = F.cross_entropy(logits[counted], target[counted], label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, target), expected)
    each, terms = loss.per_example(logits, target), loss.terms(target)
    assert terms.tolist() == [2, 3, 0]
    assert each[2] == 0
    torch.testing.assert_close((each * terms).sum() / terms.sum(), expected)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0, float("nan")])
def test_label_smoothing_out_of_range_is_refused(smoothing: float) -> None:
    with pytest.raises(ConfigError) as caught:
        loss_for(task(), label_smoothing=smoothing)
    assert str(caught.value) == (
        "label smoothing that cannot be used for classification\n"
        f"  received: {smoothing}\n  allowed:  a number from 0 to below 1"
    )


def test_label_smoothing_is_not_for_numbers() -> None:
    with pytest.raises(ConfigError, match=r"cannot be used for regression\n  received: 0\.1\n  allowed:  0"):
        loss_for(task("regression", 1), label_smoothing=0.1)


@pytest.mark.parametrize("out", [(5, 4), (5, 2), (4, 3), (5, 1), (5,), (5, 3, 2)])
def test_an_output_that_does_not_fit_the_classes_is_refused(out: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        CrossEntropy(3)(torch.zeros(out), LABELS)
    (problem,) = caught.value.problems
    assert problem.what == "the model's output does not fit the targets"
    assert problem.received == f"output {out} for targets (5,)"
    assert problem.allowed == "output (5, 3)"
    assert problem.todo is not None
    assert "raw, without softmax" in problem.todo


def test_with_two_classes_the_single_logit_is_offered() -> None:
    with pytest.raises(ModelError, match=r"allowed:  output \(5, 2\), or one logit \(5,\) or \(5, 1\)"):
        CrossEntropy(2)(torch.zeros(5, 3), torch.zeros(5, dtype=torch.long))


@pytest.mark.parametrize(
    ("target", "received"),
    [
        (LABELS.int(), "shape (5,), torch.int32"),
        (LABELS[:, None], "shape (5, 1), torch.int64"),
        (LABELS.float(), "shape (5,), torch.float32"),
        (F.one_hot(LABELS), "shape (5, 3), torch.int64"),
        (torch.zeros(5, 2), "shape (5, 2), torch.float32"),
    ],
)
def test_targets_that_are_not_classes_are_explained(target: Tensor, received: str) -> None:
    with pytest.raises(DataError) as caught:
        CrossEntropy(3)(torch.zeros(5, 3), target)
    (problem,) = caught.value.problems
    assert problem.what == "targets that are not classes"
    assert problem.received == received
    assert problem.allowed == "class indices (5,) as int64, or probabilities (5, 3) as floats"


@pytest.mark.parametrize("target", [F.one_hot(torch.tensor([0, 1])), torch.zeros(2, 3), torch.zeros(2, 1, 1)])
def test_targets_that_do_not_go_with_one_logit_are_explained(target: Tensor) -> None:
    with pytest.raises(DataError, match="targets that are not classes"):
        CrossEntropy(2)(torch.zeros(2), target)


@pytest.mark.parametrize(
    ("loss", "output", "target", "received"),
    [
        (CrossEntropy(3), torch.zeros(4, 3), torch.tensor([1, 2, 3, -100]), "labels from 1 to 3"),
        (CrossEntropy(3), torch.zeros(2, 3), torch.tensor([-1, 2]), "labels from -1 to 2"),
        (CrossEntropy(2), torch.zeros(2), torch.tensor([0, 2]), "labels from 0 to 2"),
        (TokenCrossEntropy(3), torch.zeros(1, 2, 3), torch.tensor([[0, 7]]), "labels from 0 to 7"),
    ],
)
def test_labels_out_of_range_are_explained(loss: TaskLoss, output: Tensor, target: Tensor, received: str) -> None:
    for call in (loss, loss.per_example):
        with pytest.raises(DataError) as caught:
            call(output, target)
        (problem,) = caught.value.problems
        assert (problem.what, problem.received) == ("labels out of range", received)
        assert problem.allowed is not None
        assert problem.allowed.startswith(f"0 to {output.shape[-1] - 1 if output.ndim > 1 else 1}, ")


def test_an_output_of_integers_is_explained() -> None:
    with pytest.raises(ModelError, match=r"not logits\n  received: torch\.int64\n  allowed:  floating point"):
        CrossEntropy(3)(torch.zeros(5, 3, dtype=torch.long), LABELS)


@pytest.mark.parametrize("out", [(2, 4), (2, 3, 5), (3, 4, 5), (8, 5), (8,)])
def test_logits_that_do_not_fit_the_tokens_are_refused(out: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        TokenCrossEntropy(5)(torch.zeros(out), torch.zeros(2, 4, dtype=torch.long))
    (problem,) = caught.value.problems
    assert problem.received == f"output {out} for targets (2, 4)"
    assert problem.allowed == "output (2, 4, 5): logits for every position"


@pytest.mark.parametrize("loss", [CrossEntropy(3), CrossEntropy(2), SquaredError(), TokenCrossEntropy(3)])
def test_nan_outputs_give_a_nan_loss_not_an_error(loss: TaskLoss) -> None:
    shape, target = {
        CrossEntropy(3): ((5, 3), LABELS),
        CrossEntropy(2): ((5,), LABELS.clamp(max=1)),
        SquaredError(): ((5, 1), LABELS.float()[:, None]),
        TokenCrossEntropy(3): ((1, 5, 3), LABELS[None]),
    }[loss]
    assert loss(torch.full(shape, float("nan")), target).isnan()
