"""Small live programs whose metric is wrong, or right; and language models whose labels and padding are, or are not.

Not here: the losses of single vectors (`test_loss_rules.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mlkit.debug.confirm
from mlkit.debug import Watch, experiment, probes

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")

torch.manual_seed(0)
ROWS = torch.randn(64, 8)
BINARY = (ROWS[:, 0] > 0).float()
CLASSES = ROWS[:, :4].argmax(1)
LENGTHS = torch.randint(3, 13, (16,))
TOKENS = torch.randint(1, 12, (16, 13)) * (torch.arange(13)[None] < LENGTHS[:, None])
STREAM = torch.randint(1, 12, (16, 13))


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    probes.load()
    monkeypatch.setattr(
        "mlkit.debug.running.PROBES", [p for p in probes.PROBES if p.name in ("heads", "loss", "metric")]
    )
    monkeypatch.setattr(mlkit.debug.confirm, "confirm", lambda session: None)
    monkeypatch.setenv("MLKIT_DEBUG_SELF", "1")


def codes(watch: Watch) -> set[str]:
    return {one.code for one in watch.report.findings if one.severity != "info"}


def accuracy_judged(units: int, metric: Callable[[Tensor], Tensor]) -> set[str]:
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, units))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with Watch(select=["metric"]) as watch:
        for _ in range(3):
            out = model(ROWS)
            loss = (
                F.binary_cross_entropy_with_logits(out[:, 0], BINARY) if units == 1 else F.cross_entropy(out, CLASSES)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            metric(model(ROWS))
    return codes(watch)


@pytest.mark.parametrize(
    ("units", "metric", "is_wrong"),
    [
        (1, lambda out: (out.argmax(1) == BINARY).float().mean(), True),
        (1, lambda out: ((out > 0) == BINARY).float().mean(), True),
        (1, lambda out: ((out[:, 0].sigmoid() > 0) == BINARY).float().mean(), True),
        (1, lambda out: ((out[:, 0] > 0.5).float() == BINARY).float().mean(), True),
        (4, lambda out: (out[:4].argmax(0) == CLASSES[:4]).float().mean(), True),
        (1, lambda out: ((out[:, 0].sigmoid() > 0.5) == BINARY.bool()).float().mean(), False),
        (1, lambda out: ((out[:, 0] > 0).long() != BINARY.long()).float().mean(), False),
        (4, lambda out: (out.argmax(1) == CLASSES).sum(), False),
        (4, lambda out: (out.softmax(-1).max(-1).indices == CLASSES).float().mean(), False),
        (4, lambda out: (out.topk(2, 1).indices == CLASSES[:, None]).any(1).float().mean(), False),
    ],
)
def test_metric(units: int, metric: Callable[[Tensor], Tensor], is_wrong: bool) -> None:
    assert accuracy_judged(units, metric) == ({"metric.wrong"} if is_wrong else set())


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.rnn, self.out = nn.Embedding(12, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 12)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.rnn(self.table(ids))[0])


@pytest.mark.parametrize(
    ("loss_of", "code"),
    [
        (lambda m: F.cross_entropy(m(STREAM[:, :-1]).flatten(0, 1), STREAM[:, 1:].flatten()), None),
        (lambda m: F.cross_entropy(m(STREAM)[:, :-1].transpose(1, 2), STREAM[:, 1:]), None),
        (lambda m: F.cross_entropy(m(STREAM).transpose(1, 2), STREAM), "loss.label-shift"),
        (
            lambda m: F.cross_entropy(m(STREAM[:, :-1])[:, :-1].transpose(1, 2), STREAM[:, 1:][:, 1:]),
            "loss.label-shift",
        ),
        (lambda m: F.cross_entropy(m(TOKENS[:, :-1]).transpose(1, 2), TOKENS[:, 1:]), "loss.padding-counted"),
        (lambda m: F.cross_entropy(m(TOKENS[:, :-1]).transpose(1, 2), TOKENS[:, 1:], ignore_index=0), None),
        (
            lambda m: (
                F.cross_entropy(m(TOKENS[:, :-1]).flatten(0, 1), TOKENS[:, 1:].flatten(), reduction="none")
                * (TOKENS[:, 1:].flatten() > 0)
            ).mean(),
            None,
        ),
    ],
)
def test_sequences(loss_of: Callable[[nn.Module], Tensor], code: str | None) -> None:
    model = Language()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with Watch(select=["loss"]) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
    assert codes(watch) == ({code} if code else set())
