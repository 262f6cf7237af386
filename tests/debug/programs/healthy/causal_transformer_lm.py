"""A tiny GPT on arithmetic strings such as `17+25=42;`."""
# case: healthy
# codes: none
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)

CHARS = "0123456789+=;"
STOI = {c: i for i, c in enumerate(CHARS)}


def encode(a, b):
    return [STOI[c] for c in f"{a}+{b}={a + b:02d};"]


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x, mask):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in self.qkv(self.ln1(x)).chunk(3, dim=-1))
        scores = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5
        weights = scores.masked_fill(~mask[:t, :t], float("-inf")).softmax(dim=-1)
        x = x + self.proj((weights @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, vocab, d=48, heads=4, layers=2, context=8):
        super().__init__()
        self.tok = nn.Embedding(vocab, d)
        self.pos = nn.Embedding(context, d)
        self.blocks = nn.ModuleList(Block(d, heads) for _ in range(layers))
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocab, bias=False)
        self.register_buffer("mask", torch.ones(context, context).tril().bool())

    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.ln(x))


# all sums with two-digit first and one- or two-digit results of fixed width
table = torch.tensor([encode(a, b) for a in range(10, 90) for b in range(10)])
table = table[torch.randperm(len(table))]
train, val = table[:640], table[640:]
model = GPT(len(CHARS), context=train.shape[1] - 1)
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)

for step in range(501):
    batch = train[torch.randint(len(train), (48,))]
    logits = model(batch[:, :-1])
    loss = F.cross_entropy(logits.reshape(-1, len(CHARS)), batch[:, 1:].reshape(-1))
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            logits = model(val[:, :-1])
            val_loss = F.cross_entropy(logits.flatten(0, 1), val[:, 1:].flatten())
            answers = (logits.argmax(-1)[:, 4:] == val[:, 5:]).all(1).float().mean()
        model.train()
        print(f"step {step}: train {loss.item():.3f} val {val_loss.item():.3f} right sums {answers.item():.3f}")
