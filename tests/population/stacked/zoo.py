"""Models, separate runs and comparisons that the tests of the stack share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mlkit.engine.optimizers import make_optimizer
from mlkit.models import lenet, lstm, mlp, resnet20
from mlkit.population.stacked.dropout import set_step, use_keyed_dropout
from mlkit.population.stacked.settings import OptimizerSettings

Make = Callable[[int], nn.Module]

# name -> (model of a seed, shape of an example); all in float64, where exactness is the claim
ARCHITECTURES: dict[str, tuple[Make, tuple[int, ...]]] = {
    "mlp": (lambda seed: mlp(6, 3, hidden=(8, 7), dropout=0.3, normalization="layer", seed=seed).double(), (6,)),
    "lenet": (lambda seed: lenet(3, image_size=8, width=0.5, dropout=0.2, seed=seed).double(), (1, 8, 8)),
    "resnet": (lambda seed: resnet20(3, in_channels=1, seed=seed).double(), (1, 4, 4)),
    "lstm": (lambda seed: lstm(2, 3, hidden=4, layers=2, dropout=0.3, seed=seed).double(), (5, 2)),
}


def settings(size: int, *, name: str = "adamw") -> list[OptimizerSettings]:
    """A learning rate and a decay of its own for each member."""
    return [
        OptimizerSettings(name=name, lr=1e-3 * (1 + k), weight_decay=0.02 * k)  # type: ignore[arg-type]
        for k in range(size)
    ]


def batches(count: int, shape: Sequence[int], *, rows: int = 6, classes: int = 3) -> list[tuple[Tensor, Tensor]]:
    """The same batches at every call."""
    stream = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(rows, *shape, generator=stream, dtype=torch.float64),
            torch.randint(0, classes, (rows,), generator=stream),
        )
        for _ in range(count)
    ]


def example_weights(size: int, step: int, rows: int) -> Tensor:
    """``(K, rows)``, different in each step; one of them 0."""
    stream = torch.Generator().manual_seed(1000 + step)
    weights = torch.randint(0, 4, (size, rows), generator=stream).double()
    weights[:, 0] = 1
    return weights


def train_alone(
    model: nn.Module,
    one: OptimizerSettings,
    data: Sequence[tuple[Tensor, Tensor]],
    *,
    key: int,
    weights: Callable[[int], Tensor] | None = None,
) -> nn.Module:
    """A plain PyTorch loop over a copy of the model with keyed dropout."""
    member = copy.deepcopy(model).train()
    use_keyed_dropout(member, key)
    optimizer = make_optimizer(member, name=one.name, lr=one.lr, weight_decay=one.weight_decay)
    for step, (x, y) in enumerate(data):
        set_step(member, step)
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(member(x), y, reduction="none")
        share = torch.ones_like(losses) if weights is None else weights(step)
        ((losses * share).sum() / share.sum()).backward()
        optimizer.step()
    return member


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """The largest between two state dictionaries of the same names."""
    assert list(a) == list(b)
    return max((float((a[name].double() - b[name].double()).abs().max()) for name in a if a[name].numel()), default=0.0)
