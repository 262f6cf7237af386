"""`step.tied-weights-apart`: copies where one parameter was meant, ties that were broken; not true ties, nor clones."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.debug.live import STEPS, found, source

CODE = "step.tied-weights-apart"


class Model(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 6)
        self.head = nn.Linear(6, 10, bias=False)
        if how == "copy":
            self.head.weight = nn.Parameter(self.embedding.weight.detach().clone())
        elif how in ("tie", "broken"):
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens))


def train(how: str) -> None:
    model = Model(how)
    if how == "broken":
        model.embedding.weight = nn.Parameter(torch.randn(10, 6))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(STEPS):
        tokens = torch.randint(10, (16,))
        optimizer.zero_grad()
        F.cross_entropy(model(tokens), (tokens + 1) % 10).backward()
        optimizer.step()


def test_a_copy() -> None:
    [finding] = found(lambda: train("copy"), CODE, "ties")
    assert source(finding).startswith("self.head.weight = nn.Parameter(")


def test_a_broken_tie() -> None:
    [finding] = found(lambda: train("broken"), CODE)
    assert source(finding) == "model.embedding.weight = nn.Parameter(torch.randn(10, 6))"


def test_true_ties_and_separate_weights_are_quiet() -> None:
    assert not found(lambda: train("tie"), CODE, "ties")
    assert not found(lambda: train("apart"), CODE, "ties")
