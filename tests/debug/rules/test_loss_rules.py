"""Small live programs: each planted mistake in a loss gets its code, and its healthy look-alikes get none.

Not here: whole scripts (the corpus).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

import mlkit.debug.confirm
from mlkit.debug import Watch, experiment, probes

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")

Loss = Callable[[nn.Module, Tensor], Tensor]

torch.manual_seed(0)
ROWS = torch.randn(64, 8)
REAL = ROWS @ torch.randn(8)
CLASSES = (ROWS @ torch.randn(8, 4)).argmax(1)
BINARY = (REAL > 0).float()
SHARES = torch.randn(64, 4).softmax(1)


def watched(monkeypatch: pytest.MonkeyPatch, loss_of: Loss, last: nn.Module | None, units: int) -> set[tuple[str, str]]:
    """(code, severity) of what the probes of the loss find in three steps."""
    probes.load()
    monkeypatch.setattr(probes, "PROBES", [one for one in probes.PROBES if one.name == "loss"])
    monkeypatch.setattr("mlkit.debug.running.PROBES", probes.PROBES)
    monkeypatch.setattr(mlkit.debug.confirm, "confirm", lambda session: None)
    monkeypatch.setenv("MLKIT_DEBUG_SELF", "1")
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, units), *([last] if last else []))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with Watch(select=["loss"]) as watch:
        for _ in range(3):
            rows = torch.randperm(64)[:32]
            optimizer.zero_grad()
            loss_of(model, rows).backward()
            optimizer.step()
    return {(one.code, one.severity) for one in watch.report.findings if one.severity != "info"}


def log_mean(model: nn.Module, rows: Tensor) -> Tensor:
    p, y = model(ROWS[rows])[:, 0], BINARY[rows]
    return (y * torch.log(p + 1e-6) + (1 - y) * torch.log(1 - p + 1e-6)).mean()


def pairs(model: nn.Module, rows: Tensor) -> Tensor:
    score, y = model(ROWS[rows])[:, 0], REAL[rows]
    wanted = (y[:, None] > y[None]).float()
    return (F.softplus(-(score[:, None] - score[None])) * wanted).sum() / wanted.sum()


def contrast(model: nn.Module, rows: Tensor) -> Tensor:
    one, other = F.normalize(model(ROWS[rows]), dim=1), F.normalize(model(ROWS[rows] + 0.1), dim=1)
    return F.cross_entropy(one @ other.T / 0.1, torch.arange(len(rows)))


def focal(model: nn.Module, rows: Tensor) -> Tensor:
    log_p = model(ROWS[rows]).log_softmax(1)
    return F.nll_loss((1 - log_p.exp()) ** 2 * log_p, CLASSES[rows])


WRONG: list[tuple[str, str, Loss, nn.Module | None, int]] = [
    (
        "probabilities-into-cross-entropy",
        "error",
        lambda m, i: F.cross_entropy(m(ROWS[i]), CLASSES[i]),
        nn.Softmax(1),
        4,
    ),
    (
        "probabilities-into-cross-entropy",
        "error",
        lambda m, i: -Categorical(logits=m(ROWS[i])).log_prob(CLASSES[i]).mean(),
        nn.Softmax(1),
        4,
    ),
    (
        "sigmoid-before-bce-with-logits",
        "error",
        lambda m, i: F.binary_cross_entropy_with_logits(1 / (1 + torch.exp(-m(ROWS[i])[:, 0])), BINARY[i]),
        None,
        1,
    ),
    ("wrong-space-into-nll", "error", lambda m, i: F.nll_loss(m(ROWS[i]), CLASSES[i]), nn.Softmax(1), 4),
    ("wrong-space-into-nll", "error", lambda m, i: F.nll_loss(m(ROWS[i]), CLASSES[i]), None, 4),
    (
        "wrong-space-into-kl",
        "error",
        lambda m, i: F.kl_div(m(ROWS[i]), SHARES[i], reduction="batchmean"),
        nn.Softmax(1),
        4,
    ),
    ("broadcast", "error", lambda m, i: ((m(ROWS[i]) - REAL[i]) ** 2).mean(), None, 1),
    (
        "broadcast",
        "error",
        lambda m, i: (F.cross_entropy(m(ROWS[i]), CLASSES[i], reduction="none") * REAL.abs()[:, None][i]).mean(),
        None,
        4,
    ),
    (
        "single-unit-softmax",
        "error",
        lambda m, i: F.binary_cross_entropy(m(ROWS[i])[:, 0], BINARY[i]),
        nn.Softmax(1),
        1,
    ),
    ("wrong-sign", "error", lambda m, i: -F.cross_entropy(m(ROWS[i]), CLASSES[i]), None, 4),
    ("wrong-sign", "error", lambda m, i: Categorical(logits=m(ROWS[i])).log_prob(CLASSES[i]).mean(), None, 4),
    ("wrong-sign", "error", lambda m, i: Normal(m(ROWS[i])[:, 0], 1.0).log_prob(REAL[i]).mean(), None, 1),
    ("wrong-sign", "error", log_mean, nn.Sigmoid(), 1),
    (
        "target-domain",
        "error",
        lambda m, i: F.binary_cross_entropy_with_logits(m(ROWS[i])[:, 0], 255 * BINARY[i]),
        None,
        1,
    ),
    ("unreachable-target", "error", lambda m, i: F.l1_loss(2 * m(ROWS[i])[:, 0], REAL[i]), nn.Sigmoid(), 1),
]

RIGHT: dict[str, tuple[Loss, nn.Module | None, int]] = {
    "log-probabilities into cross-entropy": (lambda m, i: F.cross_entropy(m(ROWS[i]), CLASSES[i]), nn.LogSoftmax(1), 4),
    "soft labels": (lambda m, i: F.cross_entropy(m(ROWS[i]), SHARES[i]), None, 4),
    "focal": (focal, None, 4),
    "pairs": (pairs, None, 1),
    "contrast": (contrast, None, 4),
    "quantiles": (lambda m, i: F.relu(0.5 * (REAL[i][:, None] - m(ROWS[i]))).mean(), None, 3),
    "policy": (lambda m, i: -(Categorical(logits=m(ROWS[i])).log_prob(CLASSES[i]) * -REAL[i].abs()).mean(), None, 4),
    "density": (lambda m, i: -Normal(m(ROWS[i])[:, 0], 0.01).log_prob(REAL[i]).mean(), None, 1),
    "minus the log of both classes": (lambda m, i: -log_mean(m, i), nn.Sigmoid(), 1),
    "distillation": (
        lambda m, i: F.kl_div(m(ROWS[i]).log_softmax(1), SHARES[i], reduction="batchmean"),
        None,
        4,
    ),
    "bounded within reach": (lambda m, i: F.mse_loss(m(ROWS[i])[:, 0], torch.tanh(REAL[i])), nn.Tanh(), 1),
    "weighted by aligned weights": (
        lambda m, i: (F.cross_entropy(m(ROWS[i]), CLASSES[i], reduction="none") * REAL[i].abs()).mean(),
        None,
        4,
    ),
}


@pytest.mark.parametrize(("code", "severity", "loss_of", "last", "units"), WRONG)
def test_planted(
    code: str, severity: str, loss_of: Loss, last: nn.Module | None, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (f"loss.{code}", severity) in watched(monkeypatch, loss_of, last, units)


@pytest.mark.parametrize("name", RIGHT)
def test_look_alikes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, *RIGHT[name]) == set()
