"""Language model with hand-written multi-head attention on a token stream that echoes itself."""
# case: S08
# codes: none-of-the-catalogue
# split: rules

import math
import time

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
hp = {"vocab": 24, "seq": 32, "dim": 64, "heads": 8, "layers": 1, "batch": 32, "iters": 200, "lr": 4e-3, "warmup": 20}


def stream(n, lag=7, noise=0.1):
    tokens = torch.randint(hp["vocab"], (n,))
    fresh = torch.rand(n) < noise
    for i in range(lag, n):
        if not fresh[i]:
            tokens[i] = (tokens[i - lag] + 1) % hp["vocab"]
    return tokens


def get_batch(tokens):
    at = torch.randint(len(tokens) - hp["seq"], (hp["batch"],))
    rows = torch.stack([tokens[i : i + hp["seq"] + 1] for i in at])
    return rows[:, :-1], rows[:, 1:]


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.dim, self.heads, self.head_dim = dim, heads, dim // heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.register_buffer("future", torch.triu(torch.ones(hp["seq"], hp["seq"], dtype=torch.bool), diagonal=1))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.dim)  #! scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        weights = scores.masked_fill(self.future[:t, :t], float("-inf")).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, t, self.dim))


class Layer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        x = x + self.attention(self.n1(x))
        return x + self.mlp(self.n2(x))


class EchoLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(hp["vocab"], hp["dim"])
        self.pos = nn.Embedding(hp["seq"], hp["dim"])
        self.layers = nn.Sequential(*[Layer(hp["dim"], hp["heads"]) for _ in range(hp["layers"])])
        self.head = nn.Sequential(nn.LayerNorm(hp["dim"]), nn.Linear(hp["dim"], hp["vocab"]))

    def forward(self, ids):
        return self.head(self.layers(self.tok(ids) + self.pos.weight[: ids.size(1)]))


torch.manual_seed(SEED)
train_tokens, val_tokens = stream(30_000), stream(4_000)
model = EchoLM()
optimizer = torch.optim.AdamW(model.parameters(), lr=hp["lr"], betas=(0.9, 0.98), weight_decay=0.05)
warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1.0, (i + 1) / hp["warmup"]))
began = time.time()
for it in range(1, hp["iters"] + 1):
    ids, nxt = get_batch(train_tokens)
    loss = F.cross_entropy(model(ids).flatten(0, 1), nxt.flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    warmup.step()
    if it % 40 == 0:
        with torch.no_grad():
            ids, nxt = get_batch(val_tokens)
            val = F.cross_entropy(model(ids).flatten(0, 1), nxt.flatten()).item()
        print(f"iter {it} train {loss.item():.3f} val {val:.3f} ({time.time() - began:.1f}s)")
