from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlkit.errors import ConfigError
from mlkit.metrics.losses import CrossEntropy, SquaredError, TokenCrossEntropy
from mlkit.population.stacked.losses import member_losses

SIZE, ROWS = 3, 5


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cases() -> dict[str, tuple[object, Tensor, Tensor]]:
    stream = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (SIZE, ROWS), generator=stream)
    tokens = torch.randint(0, 4, (SIZE, ROWS, 6), generator=stream)
    left_out, padded = labels.clone(), tokens.clone()
    left_out[:, 1] = left_out[1, 3] = -100
    padded[0, 0, 2:] = padded[2, :, 4:] = -100
    outputs, steps = normal(SIZE, ROWS, 4), normal(SIZE, ROWS, 6, 4)
    return {
        "classes": (CrossEntropy(4), outputs, labels),
        "classes of which some do not count": (CrossEntropy(4), outputs, left_out),
        "probabilities": (CrossEntropy(4), outputs, normal(SIZE, ROWS, 4).softmax(-1)),
        "one logit": (CrossEntropy(2), outputs[..., :1], labels % 2),
        "smoothed": (CrossEntropy(4, label_smoothing=0.2), outputs, labels),
        "numbers": (SquaredError(), outputs, normal(SIZE, ROWS, 4)),
        "one number": (SquaredError(), outputs[..., :1], normal(SIZE, ROWS)),
        "tokens": (TokenCrossEntropy(4), steps, padded),
        "a function": (lambda output, target: F.cross_entropy(output, target), outputs, labels),
    }


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("name", list(cases()))
def test_each_members_loss_is_that_of_its_batch(name: str, shared: bool) -> None:
    loss, outputs, targets = cases()[name]
    outputs = outputs.clone().requires_grad_()
    given = targets[0] if shared else targets
    losses = member_losses(loss, outputs, given, own_targets=not shared)  # type: ignore[arg-type]
    expected = torch.stack([loss(outputs[k], given if shared else given[k]) for k in range(SIZE)])  # type: ignore[operator]
    torch.testing.assert_close(losses, expected)
    gradients = [torch.autograd.grad(x.sum(), outputs, retain_graph=True)[0] for x in (losses, expected)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(member_losses(loss, outputs, given), losses)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in cases() if name != "a function"])
def test_whole_weights_count_like_copies(name: str) -> None:
    """A weight of 2 is the example twice, a weight of 0 is no example: a bootstrap's weights."""
    loss, outputs, targets = cases()[name]
    weights = torch.tensor([[0, 1, 2, 3, 1], [2, 0, 0, 1, 1], [1, 1, 1, 1, 1]])
    found = member_losses(loss, outputs, targets, weights, own_targets=True)  # type: ignore[arg-type]
    for k in range(SIZE):
        rows = torch.arange(ROWS).repeat_interleave(weights[k])
        torch.testing.assert_close(found[k], loss(outputs[k][rows], targets[k][rows]))  # type: ignore[operator]


def test_weights_of_zero_give_no_loss_and_no_gradient() -> None:
    outputs = normal(2, ROWS, 4).requires_grad_()
    weights = torch.ones(2, ROWS)
    weights[0] = 0
    losses = member_losses(CrossEntropy(4), outputs, torch.zeros(ROWS, dtype=torch.long), weights)
    assert losses[0].item() == 0
    assert torch.autograd.grad(losses.sum(), outputs)[0][0].abs().max().item() == 0


@pytest.mark.parametrize("kind", [CrossEntropy, TokenCrossEntropy])
def test_smoothing_of_their_own_is_each_members_own_loss(kind: type) -> None:
    tokens = kind is TokenCrossEntropy
    outputs = normal(SIZE, ROWS, 6, 4) if tokens else normal(SIZE, ROWS, 4)
    targets = torch.randint(0, 4, outputs.shape[1:-1])
    amounts = [0.0, 0.1, 0.7]
    found = member_losses(kind(4), outputs, targets, None, torch.tensor(amounts), own_targets=False)
    for k, amount in enumerate(amounts):
        torch.testing.assert_close(found[k], kind(4, label_smoothing=amount)(outputs[k], targets))


def test_what_a_loss_cannot_do_is_said() -> None:
    outputs, labels = normal(SIZE, ROWS, 4), torch.zeros(ROWS, dtype=torch.long)
    with pytest.raises(ConfigError, match="per_example"):
        member_losses(F.cross_entropy, outputs, labels, torch.ones(SIZE, ROWS))
    with pytest.raises(ConfigError, match="label smoothing"):
        member_losses(SquaredError(), outputs, outputs, label_smoothing=torch.zeros(SIZE))
    with pytest.raises(ConfigError, match="own_targets"):
        member_losses(TokenCrossEntropy(4), normal(4, 4, 4, 4), torch.zeros(4, 4, dtype=torch.long))
