"""`model.padding-dependence`: means and last steps over padding, in or after the model; not masked or packed."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from tests.debug.live import STEPS, found, source

CODE = "model.padding-dependence"


class Model(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.embed = nn.Embedding(20, 12)
        self.rnn = nn.GRU(12, 12, batch_first=True)
        self.out = nn.Linear(12, 3)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x = self.embed(tokens)
        keep = (tokens != 0).unsqueeze(-1)
        if self.kind == "mean":
            pooled = x.mean(1)
        elif self.kind == "masked mean":
            pooled = (x * keep).sum(1) / keep.sum(1)
        elif self.kind == "packed":
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            pooled = self.rnn(packed)[1][0]
        else:
            return self.rnn(x)[0]
        return self.out(pooled)


def train(kind: str) -> None:
    model = Model(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        lengths = torch.randint(3, 12, (16,), generator=generator)
        tokens = pad_sequence(
            [torch.randint(1, 20, (int(one),), generator=generator) for one in lengths], batch_first=True
        )
        out = model(tokens, lengths)
        if kind == "last":
            out = model.out(out[:, -1])
        elif kind == "valid":
            out = model.out(out[torch.arange(16), lengths - 1])
        optimizer.zero_grad()
        nn.functional.cross_entropy(out, lengths % 3).backward()
        optimizer.step()


@pytest.mark.parametrize(("kind", "line"), [("mean", "x.mean(1)"), ("last", "out[:, -1]")])
def test_padding_taken_for_content(kind: str, line: str) -> None:
    [finding] = found(lambda: train(kind), CODE, "padding")
    assert finding.severity == "error"
    assert line in source(finding)


@pytest.mark.parametrize("kind", ["masked mean", "packed", "valid"])
def test_healthy(kind: str) -> None:
    assert not found(lambda: train(kind), CODE, "padding")


class Visits(nn.Module):
    def __init__(self, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.each, self.out = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, values: Tensor, keep: Tensor) -> Tensor:
        weight = (keep if self.masked else torch.ones_like(keep)).unsqueeze(-1).float()
        return self.out((torch.relu(self.each(values)) * weight).sum(1) / weight.sum(1))


@pytest.mark.parametrize("masked", [True, False])
def test_measured_values_whose_lengths_are_told_by_a_mask(masked: bool) -> None:
    def program() -> None:
        model = Visits(masked=masked)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            lengths = torch.randint(2, 9, (16,))
            values = pad_sequence([torch.randn(int(one), 5) for one in lengths], batch_first=True)
            keep = torch.arange(values.shape[1]) < lengths[:, None]
            loss = nn.functional.cross_entropy(model(values, keep), torch.randint(3, (16,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert [one.code for one in found(program, CODE, "padding", "heads")] == ([] if masked else [CODE])
