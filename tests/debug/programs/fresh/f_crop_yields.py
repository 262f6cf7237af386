"""Crop yields of fields from soil, rain and fertiliser; numbers as they come in the farm's table."""
# case: double
# codes: data.unscaled-input
# also: loss.broadcast
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def fields(n):
    rain, nitrogen = rng.normal(620, 110, n), rng.uniform(0, 220, n)
    ph, height = rng.normal(6.5, 0.6, n), rng.uniform(20, 900, n)
    yield_t = 2 + 6 * (1 - np.exp(-nitrogen / 70)) * np.exp(-(((rain - 650) / 260) ** 2)) - 0.8 * (ph - 6.5) ** 2 - 0.0008 * height
    return np.stack([rain, nitrogen, ph, height], 1).astype("float32"), (yield_t + rng.normal(0, 0.15, n)).astype("float32")


table, tonnes = fields(1200)
scale = np.array([1.0, 1.0, 1.0, 1.0], dtype="float32")  #! scale = table[:900].std(0)
offset = np.zeros(4, dtype="float32")  #! offset = table[:900].mean(0)
x = torch.from_numpy((table - offset) / scale)  #@
y = torch.from_numpy(tonnes)
net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for season in range(1, 41):
    for i in torch.randperm(900).split(45):
        gap = (net(x[i]) - y[i]).abs()  #! gap = (net(x[i])[:, 0] - y[i]).abs()
        loss = torch.where(gap < 1, 0.5 * gap**2, gap - 0.5).mean()  #@
        opt.zero_grad()
        loss.backward()
        opt.step()
    if season % 8 == 0:
        with torch.no_grad():
            mae = (net(x[900:])[:, 0] - y[900:]).abs().mean()
        print(f"round {season}: loss {loss.item():.4f}, off by {mae:.3f} t/ha (spread {y[900:].std():.3f})")
