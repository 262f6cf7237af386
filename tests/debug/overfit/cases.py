"""Cases of the corpus that show on one batch, as model, batch, loss and optimiser, each with its healthy twin.

Written from the descriptions of the corpus (the codes are its own) after the tools; `planted` was there before them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug.overfit.run import MakeOptimizer
from tests.debug.overfit.planted import Loss

ROWS, FEATURES, CLASSES = 64, 16, 4


@dataclass
class Case:
    """One bug and its healthy twin, which differ in nothing else.

    Args:
        code: of the corpus.
        sick: model, batch, loss and optimiser.
        healthy: the same without the bug.
        symptoms: that are right.
        cures: beginnings of names of changes that are right; none where no single change of those that are tried
            takes the cause away.
    """

    code: str
    sick: Parts
    healthy: Parts
    symptoms: tuple[str, ...]
    cures: tuple[str, ...]


@dataclass
class Parts:
    """What `prove` takes."""

    model: nn.Module
    batch: tuple[Tensor, Tensor]
    loss_fn: Loss
    optimizer: MakeOptimizer


def cases(seed: int) -> list[Case]:
    """All cases, on data and weights of this seed."""
    torch.manual_seed(seed)
    x = torch.randn(ROWS, FEATURES)
    y = (x @ torch.randn(FEATURES, CLASSES)).argmax(1)
    teacher = (x @ torch.randn(FEATURES, CLASSES)).softmax(1)
    yes = (x[:, :1] > 0).float()
    number = (x @ torch.randn(FEATURES, 1)) / FEATURES**0.5
    images = torch.randint(0, 256, (ROWS, 3, 16, 16)).float()
    marks = torch.arange(ROWS) % CLASSES
    for row, mark in enumerate(marks.tolist()):
        images[row, :, 4 * mark : 4 * mark + 4] = images[row, :, 4 * mark : 4 * mark + 4].clamp_min(128)
    scaled = (images / 255 - 0.5) / 0.29
    tokens = torch.randint(1, 20, (ROWS, 30))
    series = torch.randn(ROWS, 40, 4)
    ce, bce = F.cross_entropy, F.binary_cross_entropy_with_logits
    both = F.mse_loss

    def kl(output: Tensor, targets: Tensor) -> Tensor:
        return F.kl_div(output, targets, reduction="batchmean")

    def hot(output: Tensor, targets: Tensor) -> Tensor:
        return both(output.sigmoid(), F.one_hot(targets, CLASSES).float())

    def summed(output: Tensor, targets: Tensor) -> Tensor:
        return ce(output, targets, reduction="sum") * 100

    healthy = Parts(_mlp(), (x, y), ce, _adam())
    return [
        Case("L01", Parts(_then(nn.Softmax(1)), (x, y), ce, _adam()), healthy, ("plateaus",), _OUT_OR_PROBABILITIES),
        Case(
            "L02", Parts(_then(nn.Sigmoid(), 1), (x, yes), bce, _adam()), Parts(_mlp(1), (x, yes), bce, _adam()),
            ("plateaus",), ("the output without Sigmoid",),
        ),
        Case(
            "L03", Parts(_then(nn.Softmax(1)), (x, y), F.nll_loss, _adam()),
            Parts(_then(nn.LogSoftmax(1)), (x, y), F.nll_loss, _adam()), ("plateaus", "too-good"),
            (*_OUT_OR_PROBABILITIES, "the usual loss"),
        ),
        Case(
            "L04", Parts(_then(nn.Softmax(1)), (x, teacher), kl, _adam()),
            Parts(_then(nn.LogSoftmax(1)), (x, teacher), kl, _adam()), ("too-good", "plateaus", "goes-up"),
            (*_OUT_OR_PROBABILITIES, "the usual loss"),
        ),
        Case(
            "L05", Parts(_mlp(1), (x, number[:, 0]), _squared, _adam()), Parts(_mlp(1), (x, number), _squared, _adam()),
            ("plateaus",), ("the usual loss",),
        ),
        Case(
            "L06", Parts(_mlp(), (x, y), summed, _sgd(0.1)), Parts(_mlp(), (x, y), ce, _sgd(0.5)),
            ("explodes", "goes-up", "oscillates"), ("learning rate x0", "gradients clipped", "the usual loss"),
        ),
        Case(
            "L07", Parts(_mlp(), (x, y), hot, _sgd(1e-3)), healthy, ("plateaus", "slow"),
            ("learning rate x1", "the usual loss", "Adam"),
        ),
        Case(
            "L08", Parts(_then(nn.Softmax(1), 1), (x, yes), F.binary_cross_entropy, _adam()),
            Parts(_then(nn.Sigmoid(), 1), (x, yes), F.binary_cross_entropy, _adam()), ("plateaus",), (),
        ),
        Case("L09", Parts(_mlp(), (x, y), lambda o, t: -ce(o, t), _adam()), healthy, ("too-good",), _SIGN),
        Case(
            "L12", Parts(_mlp(1), (x, 3e4 * number + 2e5), both, _adam(1e-3)),
            Parts(_mlp(1), (x, number), both, _adam()),
            ("slow", "plateaus"), ("standardised targets", "learning rate x1"),
        ),
        Case(
            "L13", Parts(_mlp(1), (x, 255 * yes), bce, _adam()), Parts(_mlp(1), (x, yes), bce, _adam()), ("too-good",),
            ("targets of 0 and 1",),
        ),
        Case(
            "L15", Parts(_then(nn.Sigmoid(), 1), (x, 50 * number.abs()), both, _adam()),
            Parts(_mlp(1), (x, number.abs()), both, _adam()), ("plateaus",), ("the output without Sigmoid",),
        ),
        Case(
            "S04", Parts(_then(nn.LogSoftmax(0)), (x, y), F.nll_loss, _adam()),
            Parts(_then(nn.LogSoftmax(1)), (x, y), F.nll_loss, _adam()),
            ("plateaus", "slow", "too-good", "train-eval-gap"),
            ("LogSoftmax over the classes", "the output without LogSoftmax"),
        ),
        Case(
            "S07", Parts(nn.Sequential(_mlp(), _MeanOfBatch()), (x, y), ce, _adam()), healthy, ("plateaus",), (),
        ),
        Case(
            "D01", Parts(_cnn(), (images, marks), ce, _sgd(0.05)), Parts(_cnn(), (scaled, marks), ce, _sgd(0.05)),
            ("explodes", "goes-up", "plateaus", "oscillates"),
            ("standardised inputs", "learning rate x0", "gradients clipped", "Adam"),
        ),
        Case(
            "D04", Parts(_mlp(), (1e-3 * x, y), ce, _sgd(0.5)), Parts(_mlp(), (x, y), ce, _sgd(0.5)),
            ("plateaus", "slow"), ("standardised inputs", "learning rate x1", "Adam"),
        ),
        Case("D16", Parts(_mlp(), (_holed(x), y), ce, _adam()), healthy, ("explodes",), ()),
        Case("O03", Parts(_Bottle(), (x, y), ce, _of("head")), Parts(_Bottle(), (x, y), ce, _adam()), _POOR, _ALL),
        Case(
            "O04", Parts(_Listed(hidden=True), (x, y), ce, _adam()), Parts(_Listed(hidden=False), (x, y), ce, _adam()),
            _POOR, (),
        ),
        Case(
            "O05", Parts(_frozen(_normed(0.1)), (x, y), ce, _adam()), Parts(_normed(0.1), (x, y), ce, _adam()),
            (*_POOR, "oscillates"), _ALL,
        ),
        Case("O08", Parts(_Bottle(cut=True), (x, y), ce, _adam()), Parts(_Bottle(), (x, y), ce, _adam()), _POOR, ()),
        Case(
            "O09", Parts(_mlp(), (x, y), ce, _sgd(1e3)), Parts(_mlp(), (x, y), ce, _sgd(0.5)),
            _WILD, ("learning rate x0",),
        ),
        Case("O10", Parts(_mlp(), (x, y), ce, _sgd(1e-6)), healthy, ("slow", "plateaus"), ("learning rate x1", "Adam")),
        Case(
            "O11", Parts(_mlp(), (x, y), ce, _sgd(2.0, momentum=0.99)), Parts(_mlp(), (x, y), ce, _sgd(0.5)),
            (*_WILD, "plateaus"), ("learning rate x0", "gradients clipped"),
        ),
        Case("O17", Parts(_mlp(), (x, y), ce, _adam(decay=1.0)), healthy, ("plateaus",), ("no weight decay",)),
        Case(
            "M06", Parts(_dropping(0.95), (x, y), ce, _adam()), Parts(_dropping(0.05), (x, y), ce, _adam()),
            ("slow", "plateaus", "oscillates"), ("no dropout",),
        ),
        Case(
            "N01", Parts(_Distance(0.0), (_twice(x), number.abs()), both, _adam()),
            Parts(_Distance(1e-6), (_twice(x), number.abs()), both, _adam()), ("explodes",), (),
        ),
        Case(
            "N05", Parts(_recurrent(3.0), (series, marks), ce, _sgd(0.5)),
            Parts(_recurrent(0.5), (series, marks), ce, _adam()),
            (*_WILD, "plateaus", "slow"), ("gradients clipped", "learning rate x0", "Adam", "default initialisation"),
        ),
        Case("G02", Parts(_filled(0.0), (x, y), ce, _adam()), healthy, ("plateaus",), ("default initialisation",)),
        Case(
            "G03", Parts(_normal(3.0), (x, y), ce, _sgd(0.05)), Parts(_mlp(), (x, y), ce, _sgd(0.5)),
            (*_WILD, "slow", "plateaus"), ("default initialisation", "gradients clipped", "learning rate x0", "Adam"),
        ),
        Case(
            "G04", Parts(_dead(), (x, y), ce, _adam()), healthy, ("plateaus",),
            ("default initialisation", "leaky ReLU"),
        ),
        Case(
            "G05", Parts(_deep(nn.Sigmoid), (x, y), ce, _adam(1e-3)), Parts(_deep(nn.ReLU), (x, y), ce, _adam(1e-3)),
            ("plateaus", "slow"), ("leaky ReLU",),
        ),
        Case(
            "S-cls tokens", Parts(_words(), (tokens, tokens[:, 0] % 2), ce, _adam(1e-6)),
            Parts(_words(), (tokens, tokens[:, 0] % 2), ce, _adam()), ("slow", "plateaus"), ("learning rate x1",),
        ),
    ]  # fmt: skip


_OUT_OR_PROBABILITIES = ("the output without", "the usual loss, for outputs")
_SIGN, _ALL = ("the loss with its sign",), ("all parameters",)
_POOR, _WILD = ("plateaus", "slow"), ("explodes", "goes-up", "oscillates")


def _mlp(outputs: int = CLASSES) -> nn.Sequential:
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, outputs))


def _then(last: nn.Module, outputs: int = CLASSES) -> nn.Sequential:
    return nn.Sequential(*_mlp(outputs), last)


def _squared(output: Tensor, targets: Tensor) -> Tensor:
    return (output - targets).square().mean()


def _adam(lr: float = 0.01, *, decay: float = 0.0) -> MakeOptimizer:
    return lambda model: torch.optim.Adam(model.parameters(), lr, weight_decay=decay)


def _sgd(lr: float, *, momentum: float = 0.0) -> MakeOptimizer:
    return lambda model: torch.optim.SGD(model.parameters(), lr, momentum=momentum)


def _of(part: str) -> MakeOptimizer:
    return lambda model: torch.optim.Adam(model.get_submodule(part).parameters(), 0.01)


def _cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, CLASSES),
    )


def _holed(x: Tensor) -> Tensor:
    x = x.clone()
    x[5, 3] = float("nan")
    return x


def _twice(x: Tensor) -> Tensor:
    x = x.clone()
    x[0, FEATURES // 2 :] = x[0, : FEATURES // 2]
    return x


def _normed(momentum: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(FEATURES, 32), nn.BatchNorm1d(32, momentum=momentum), nn.ReLU(), nn.Linear(32, CLASSES)
    )


def _frozen(model: nn.Sequential) -> nn.Sequential:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("1."))
    return model


def _dropping(p: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(FEATURES, 32),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Dropout(p),
        nn.Linear(32, CLASSES),
    )


def _filled(value: float) -> nn.Sequential:
    model = _mlp()
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def _normal(deviation: float) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(FEATURES, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, CLASSES))
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, deviation)
    return model


def _dead() -> nn.Sequential:
    model = _mlp()
    with torch.no_grad():
        model[0].bias.fill_(-20.0)
    return model


def _deep(kind: Callable[[], nn.Module]) -> nn.Sequential:
    hidden = [layer for _ in range(6) for layer in (nn.Linear(32, 32), kind())]
    return nn.Sequential(nn.Linear(FEATURES, 32), kind(), *hidden, nn.Linear(32, CLASSES))


class _MeanOfBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(0, keepdim=True).expand_as(x)


class _Bottle(nn.Module):
    """A narrow body that has to be trained, and a head."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, 2), nn.ReLU())
        self.head, self.cut = nn.Linear(2, CLASSES), cut
        with torch.no_grad():
            cast("Tensor", self.body[2].bias).fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x)
        out: Tensor = self.head(hidden.detach() if self.cut else hidden)
        return out


class _Listed(nn.Module):
    """Hidden layers in a plain list, or registered."""

    def __init__(self, *, hidden: bool) -> None:
        super().__init__()
        body = _Bottle().body
        self.layers = [body] if hidden else nn.ModuleList([body])
        self.head = nn.Linear(2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x)
        return out


class _Distance(nn.Module):
    """The distance of two halves of a row, by a learned map."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.net, self.scale = nn.Linear(FEATURES // 2, 16), nn.Linear(1, 16)
        self.last, self.epsilon = nn.Linear(16, 1), epsilon
        self.side = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.net(x[:, : FEATURES // 2]), self.net(x[:, FEATURES // 2 :])
        distance = ((a - b).square().sum(1, keepdim=True) + self.epsilon).sqrt()
        out: Tensor = self.last(torch.relu(self.scale(distance))) + self.side(x)
        return out


class _Recurrent(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(4, 32, batch_first=True, nonlinearity="relu"), nn.Linear(32, CLASSES)
        with torch.no_grad():
            cast("Tensor", self.rnn.weight_hh_l0).mul_(scale)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(x)[0][:, -1])
        return out


def _recurrent(scale: float) -> nn.Module:
    return _Recurrent(scale)


class _Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(20, 16), nn.LSTM(16, 32, batch_first=True)
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(self.embedding(x))[0].mean(1))
        return out


def _words() -> nn.Module:
    return _Words()
