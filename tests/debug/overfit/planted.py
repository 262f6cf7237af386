"""Bugs that show on one batch, as model, batch, loss and optimiser, with the symptom and the smallest cure expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug.overfit import prove
from mlkit.debug.overfit.run import MakeOptimizer

Loss = Callable[[Tensor, Tensor], Tensor]


class Planted(NamedTuple):
    """One bug.

    ``symptoms`` are those that are right; ``cures`` are beginnings of the names of changes that are right, none where
    no change of those that are tried takes the cause away.
    """

    model: nn.Module
    batch: tuple[Tensor, Tensor]
    loss_fn: Loss
    optimizer: MakeOptimizer
    symptoms: tuple[str, ...]
    cures: tuple[str, ...]


def told(name: str) -> tuple[str, str, str | None]:
    """The name, the symptom and the cure that are told of a bug of seed 0; in a process of its own."""
    torch.set_num_threads(1)
    report = prove(*planted(0)[name][:4], seconds=20, thorough=False)
    return name, report.overfit.symptom, None if report.cure is None else report.cure.change.name


def planted(seed: int) -> dict[str, Planted]:
    """All bugs, on data and weights of this seed."""
    torch.manual_seed(seed)
    x, y, numbers = torch.randn(64, 20), torch.randint(0, 5, (64,)), torch.randn(64)
    yes = (numbers[:, None] > 0).float()
    cross_entropy = F.cross_entropy
    return {
        "rate far too high": Planted(
            _mlp(), (x, y), cross_entropy, _sgd(50.0), ("explodes", "goes-up"), ("learning rate x0",)
        ),
        "rate far too low": Planted(_mlp(), (x, y), cross_entropy, _adam(1e-5), ("slow",), ("learning rate x1",)),
        "softmax twice": Planted(
            _ends(nn.Softmax(1)),
            (x, y),
            cross_entropy,
            _adam(),
            ("plateaus",),
            ("the output without Softmax", "the usual loss, for"),
        ),
        "likelihood of probabilities": Planted(
            _ends(nn.Softmax(1)),
            (x, y),
            F.nll_loss,
            _adam(),
            ("plateaus",),
            ("the usual loss, for", "the output without"),
        ),
        "sign turned": Planted(
            _mlp(), (x, y), lambda o, t: -cross_entropy(o, t), _adam(), ("too-good",), ("the loss with its sign",)
        ),
        "all weights zero": Planted(
            _zero(_mlp()), (x, y), cross_entropy, _adam(), ("plateaus",), ("default initialisation",)
        ),
        "column against row": Planted(_mlp(1), (x, numbers), _squared, _adam(), ("plateaus",), ("the usual loss",)),
        "inputs in thousands": Planted(
            _mlp(1),
            (1000 * x + 5000, numbers[:, None]),
            _squared,
            _adam(1e-3),
            ("plateaus", "slow", "oscillates"),
            ("standardised inputs",),
        ),
        "targets in thousands": Planted(
            _mlp(1),
            (x, 1000 * numbers[:, None] + 5000),
            _squared,
            _adam(1e-3),
            ("slow",),
            ("standardised targets", "learning rate x1"),
        ),
        "dropout of nearly all": Planted(
            _dropping(0.97), (x, y), cross_entropy, _adam(), ("oscillates", "plateaus", "slow"), ("no dropout",)
        ),
        "decay of 5": Planted(
            _mlp(), (x, y), cross_entropy, _adam(weight_decay=5.0), ("plateaus",), ("no weight decay",)
        ),
        "no bend": Planted(
            nn.Sequential(nn.Linear(20, 64), nn.Linear(64, 64), nn.Linear(64, 5)),
            (x, y),
            cross_entropy,
            _adam(),
            ("plateaus", "slow"),
            ("a ReLU between",),
        ),
        "one unit": Planted(
            nn.Sequential(nn.Linear(20, 1), nn.ReLU(), nn.Linear(1, 5)),
            (x, y),
            cross_entropy,
            _adam(),
            ("plateaus", "slow"),
            ("four times",),
        ),
        "output cut at zero": Planted(
            nn.Sequential(_mlp(1), nn.ReLU()),
            (x, numbers[:, None] - 3),
            _squared,
            _adam(),
            ("plateaus",),
            ("the output without ReLU",),
        ),
        "sigmoid twice": Planted(
            nn.Sequential(_mlp(1), nn.Sigmoid()),
            (x, yes),
            F.binary_cross_entropy_with_logits,
            _adam(),
            ("plateaus",),
            ("the output without Sigmoid",),
        ),
        "seven sigmoids": Planted(
            _sigmoids(), (x, y), cross_entropy, _adam(1e-3), ("plateaus", "slow"), ("leaky ReLU",)
        ),
        "statistics that stand still": Planted(
            _normed(1e-4),
            (5 * x + 3, y),
            cross_entropy,
            _adam(),
            ("train-eval-gap",),
            ("running statistics", "normalisers as in"),
        ),
        "graph cut": Planted(_Cut(), (x, y), cross_entropy, _adam(), ("plateaus", "slow"), ()),
        "last layer left out": Planted(
            _Shift(),
            (x, y),
            cross_entropy,
            lambda m: torch.optim.Adam(m.only.parameters(), 0.01),
            ("plateaus", "slow"),
            ("all parameters",),
        ),
    }


def _mlp(outputs: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, outputs))


def _squared(output: Tensor, targets: Tensor) -> Tensor:
    return (output - targets).square().mean()  # as people write it: shapes are not compared


def _adam(lr: float = 0.01, weight_decay: float = 0.0) -> MakeOptimizer:
    return lambda model: torch.optim.Adam(model.parameters(), lr, weight_decay=weight_decay)


def _sgd(lr: float) -> MakeOptimizer:
    return lambda model: torch.optim.SGD(model.parameters(), lr)


def _ends(last: nn.Module) -> nn.Module:
    return nn.Sequential(_mlp(), last)


def _zero(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def _dropping(p: float) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 5))


def _normed(momentum: float) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64, momentum=momentum), nn.ReLU(), nn.Linear(64, 5))


def _sigmoids() -> nn.Module:
    hidden = [layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.Sigmoid())]
    return nn.Sequential(nn.Linear(20, 64), nn.Sigmoid(), *hidden, nn.Linear(64, 5))


class _Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(20, 1), nn.Linear(1, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.relu(self.first(x)).detach())
        return out


class _Shift(nn.Module):
    """A network of which only the bias of the output is given to the optimiser."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.only = _mlp(), nn.ParameterDict({"shift": nn.Parameter(torch.zeros(5))})

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.only["shift"]
        return out
