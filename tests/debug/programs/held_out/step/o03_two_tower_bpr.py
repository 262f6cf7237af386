"""Two-tower recommender trained with a pairwise ranking loss; towers get their own learning rates."""
# case: O03
# codes: step.parameter-not-optimised
# split: held-out

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
CFG = {"users": 200, "items": 120, "dim": 16, "steps": 250, "batch": 256, "lr": {"users": 5e-3, "items": 5e-3, "bias": 1e-2}}


def simulate(rng):
    taste, style = rng.normal(size=(CFG["users"], 4)), rng.normal(size=(CFG["items"], 4))
    affinity = taste @ style.T + 0.5 * rng.normal(size=(CFG["users"], CFG["items"]))
    liked = np.argsort(-affinity, axis=1)[:, :20]
    return liked, style + 0.1 * rng.normal(size=style.shape)


class Tower(nn.Module):
    def __init__(self, count, side=0):
        super().__init__()
        self.table = nn.Embedding(count, CFG["dim"])
        nn.init.normal_(self.table.weight, std=0.1)
        self.side = nn.Linear(side, CFG["dim"]) if side else None
        self.mix = nn.Sequential(nn.Linear(CFG["dim"], 32), nn.GELU(), nn.Linear(32, CFG["dim"]))

    def forward(self, index, extra=None):
        h = self.table(index)
        if self.side is not None:
            h = h + self.side(extra)
        return h + self.mix(h)


class Recommender(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.register_buffer("features", torch.as_tensor(features, dtype=torch.float32))
        self.users = Tower(CFG["users"])
        self.items = Tower(CFG["items"], side=self.features.shape[1])
        self.popularity = nn.Parameter(torch.zeros(CFG["items"]))

    def forward(self, u, i):
        return (self.users(u) * self.items(i, self.features[i])).sum(-1) + self.popularity[i]


def groups(model):
    out = [{"params": [model.popularity], "lr": CFG["lr"]["bias"], "weight_decay": 0.0}]
    for name in ("items",):  #! for name in ("users", "items"):
        out.append({"params": getattr(model, name).parameters(), "lr": CFG["lr"][name]})
    return out


def hit_rate(model, held):
    with torch.no_grad():
        u = torch.arange(CFG["users"]).repeat_interleave(CFG["items"])
        i = torch.arange(CFG["items"]).repeat(CFG["users"])
        score = model(u, i).view(CFG["users"], CFG["items"])
        positive = score.gather(1, held)
        return (positive.unsqueeze(-1) > score.unsqueeze(1)).float().mean().item()


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
liked, features = simulate(rng)
liked = torch.as_tensor(rng.permuted(liked, axis=1))
seen, held = liked[:, :14], liked[:, 14:]
model = Recommender(features)
optimizer = torch.optim.AdamW(groups(model), weight_decay=1e-4)  #@
for step in range(CFG["steps"]):
    u = torch.randint(CFG["users"], (CFG["batch"],))
    pos = seen[u, torch.randint(seen.shape[1], (CFG["batch"],))]
    neg = torch.randint(CFG["items"], (CFG["batch"],))
    loss = -F.logsigmoid(model(u, pos) - model(u, neg)).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if step % 50 == 49:
        print(f"{step + 1:4d} bpr {loss.item():.4f}  auc {hit_rate(model, held):.3f}")
