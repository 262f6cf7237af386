"""`model.future-leak`: masks off by one, both directions; not causal models, taggers, or a kept state."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.debug.live import STEPS, found, source

CODE = "model.future-leak"


class Model(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.embed = nn.Embedding(11, 8)
        self.both = nn.GRU(8, 4, batch_first=True, bidirectional=True)
        self.one = nn.GRU(8, 8, batch_first=True)
        self.out = nn.Linear(8, 11)
        self.state: Tensor | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        if self.kind in ("both", "tagger"):
            return self.out(self.both(x)[0])
        if self.kind in ("off by one", "causal"):
            mask = torch.ones(tokens.shape[1], tokens.shape[1]).triu(2 if self.kind == "off by one" else 1).bool()
            scores = (x @ x.transpose(1, 2)).masked_fill(mask, float("-inf"))
            return self.out(scores.softmax(-1) @ x)
        hidden, state = self.one(x, self.state)
        self.state = state.detach()
        return self.out(hidden)


def train(kind: str) -> None:
    model = Model(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        tokens = torch.randint(11, (12, 10))
        logits = model(tokens[:, :-1])
        wanted = tokens[:, :-1].flip(1) if kind == "tagger" else tokens[:, 1:]
        optimizer.zero_grad()
        F.cross_entropy(logits.reshape(-1, 11), wanted.reshape(-1)).backward()
        optimizer.step()


@pytest.mark.parametrize(("kind", "line"), [("off by one", "triu(2"), ("both", "bidirectional=True")])
def test_each_leak_with_its_line(kind: str, line: str) -> None:
    [finding] = found(lambda: train(kind), CODE, "causality")
    assert finding.severity == "error"
    assert line in source(finding)


@pytest.mark.parametrize("kind", ["causal", "tagger", "state"])
def test_healthy(kind: str) -> None:
    assert not found(lambda: train(kind), CODE, "causality")
