"""Attention over a set: how many distinct symbols does a bag of one-hot items hold?"""
# case: H28
# codes: none
# split: held-out

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0


class SetAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, query, items):
        h = self.ln1(query + self.attn(query, items, items, need_weights=False)[0])
        return self.ln2(h + self.ff(h))


class SetTransformer(nn.Module):
    def __init__(self, d_in, dim=32, heads=4, inducing=4):
        super().__init__()
        self.embed = nn.Linear(d_in, dim)
        self.block1 = SetAttention(dim, heads)
        self.block2 = SetAttention(dim, heads)
        self.seed = nn.Parameter(0.1 * torch.randn(1, inducing, dim))
        self.pool = SetAttention(dim, heads)
        self.head = nn.Linear(inducing * dim, 1)

    def forward(self, items):
        h = self.embed(items)
        h = self.block1(h, h)
        h = self.block2(h, h)
        pooled = self.pool(self.seed.expand(len(items), -1, -1), h)
        return self.head(pooled.flatten(1)).squeeze(-1)


def sets(n, size=8, symbols=10):
    kinds = torch.randint(2, symbols + 1, (n, 1))
    ids = (torch.rand(n, size) * kinds).long()
    one_hot = F.one_hot(ids, symbols).float()
    return one_hot, (one_hot.sum(1) > 0).sum(1).float()


torch.manual_seed(SEED)
train_x, train_y = sets(6000)
val_x, val_y = sets(1000)
centre, spread = train_y.mean(), train_y.std()
model = SetTransformer(10)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
steps = 300
for step in range(steps):
    for group in optimizer.param_groups:
        group["lr"] = 2e-3 * min(1.0, (step + 1) / 30) * (1 - step / steps) ** 0.5
    idx = torch.randint(len(train_x), (64,))
    loss = F.smooth_l1_loss(model(train_x[idx]), (train_y[idx] - centre) / spread)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (step + 1) % 60 == 0:
        model.eval()
        with torch.no_grad():
            guess = model(val_x) * spread + centre
        model.train()
        print(f"step {step + 1} loss {loss.item():.4f} val MAE {(guess - val_y).abs().mean():.3f} exact {(guess.round() == val_y).float().mean():.3f}")
