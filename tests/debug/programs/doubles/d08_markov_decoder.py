"""Decoder-only transformer with hand-written attention on a Markov stream."""
# case: double
# codes: model.future-leak
# also: step.clipping-ineffective
# split: held-out

import math
from dataclasses import dataclass

import torch
from torch import nn

SEED = 0


@dataclass(frozen=True)
class Settings:
    vocab: int = 12
    context: int = 24
    width: int = 32
    heads: int = 2
    depth: int = 2
    batch: int = 24
    steps: int = 240
    lr: float = 4e-3
    clip: float = 1.0


def stream(length, s):
    table = torch.softmax(2.0 * torch.randn(s.vocab, s.vocab), 1)
    out = [0]
    for _ in range(length - 1):
        out.append(int(torch.multinomial(table[out[-1]], 1)))
    return torch.tensor(out)


class Attention(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.heads = s.heads
        self.into, self.out = nn.Linear(s.width, 3 * s.width, bias=False), nn.Linear(s.width, s.width)
        self.register_buffer("mask", torch.ones(s.context, s.context, dtype=torch.bool).tril())

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.into(x).chunk(3, -1))
        score = q @ k.transpose(-1, -2) / math.sqrt(d // self.heads)
        score.masked_fill(~self.mask[:t, :t], float("-inf"))  #! score = score.masked_fill(~self.mask[:t, :t], float("-inf"))
        return self.out((score.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))  #@


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.a, self.b = nn.LayerNorm(s.width), nn.LayerNorm(s.width)
        self.attention = Attention(s)
        self.mlp = nn.Sequential(nn.Linear(s.width, 4 * s.width), nn.ReLU(), nn.Linear(4 * s.width, s.width))

    def forward(self, x):
        x = x + self.attention(self.a(x))
        return x + self.mlp(self.b(x))


class Decoder(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.token, self.place = nn.Embedding(s.vocab, s.width), nn.Embedding(s.context, s.width)
        self.layers = nn.ModuleList([Layer(s) for _ in range(s.depth)])
        self.top = nn.Sequential(nn.LayerNorm(s.width), nn.Linear(s.width, s.vocab))

    def forward(self, ids):
        h = self.token(ids) + self.place.weight[: ids.shape[1]]
        for layer in self.layers:
            h = layer(h)
        return self.top(h)


def sample(data, s):
    at = torch.randint(len(data) - s.context - 1, (s.batch, 1)) + torch.arange(s.context + 1)
    return data[at][:, :-1], data[at][:, 1:]


s = Settings()
torch.manual_seed(SEED)
data = stream(6000, s)
train, valid = data[:5000], data[5000:]
model = Decoder(s)
opt = torch.optim.AdamW(model.parameters(), lr=s.lr, weight_decay=0.01)
for step in range(s.steps):
    x, y = sample(train, s)
    opt.zero_grad()
    loss = nn.functional.cross_entropy(model(x).transpose(1, 2), y)
    nn.utils.clip_grad_norm_(model.parameters(), s.clip)  #!
    loss.backward()
    #+ nn.utils.clip_grad_norm_(model.parameters(), s.clip)
    opt.step()  #@
    if step % 40 == 39:
        with torch.no_grad():
            x, y = sample(valid, s)
            print(step + 1, f"train {loss.item():.3f}", f"valid {nn.functional.cross_entropy(model(x).transpose(1, 2), y).item():.3f}")
