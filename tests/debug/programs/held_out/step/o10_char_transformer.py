"""Character-level causal transformer on generated arithmetic lines such as `37+58=95`."""
# case: O10
# codes: step.learning-rate-too-low
# split: held-out

import random

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
CHARS = "0123456789+=\n"
INDEX = {c: i for i, c in enumerate(CHARS)}
BLOCK = 32


def corpus(lines: int, rng: random.Random) -> torch.Tensor:
    text = []
    for _ in range(lines):
        a, b = rng.randint(0, 9), rng.randint(0, 9)
        text.append(f"{a}+{b}={a + b}\n")
    return torch.tensor([INDEX[c] for c in "".join(text)])


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln2(x))


class CharModel(nn.Module):
    def __init__(self, dim=48, heads=4, depth=2):
        super().__init__()
        self.tok, self.pos = nn.Embedding(len(CHARS), dim), nn.Embedding(BLOCK, dim)
        self.blocks = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.ln, self.out = nn.LayerNorm(dim), nn.Linear(dim, len(CHARS))

    def forward(self, ids, targets):
        h = self.tok(ids) + self.pos(torch.arange(ids.shape[1], device=ids.device))
        logits = self.out(self.ln(self.blocks(h)))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def get_batch(stream, size=32):
    start = torch.randint(len(stream) - BLOCK - 1, (size, 1))
    window = stream[start + torch.arange(BLOCK + 1)]
    return window[:, :-1], window[:, 1:]


torch.manual_seed(SEED)
rng = random.Random(SEED)
train_data, val_data = corpus(3000, rng), corpus(500, rng)
model = CharModel()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-7, betas=(0.9, 0.95), weight_decay=0.1)  #! optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
for step in range(201):
    loss = model(*get_batch(train_data))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 40 == 0:
        model.eval()
        with torch.no_grad():
            val = sum(model(*get_batch(val_data)).item() for _ in range(4)) / 4
        model.train()
        print(f"{step:4d}: train {loss.item():.3f} val {val:.3f}")
