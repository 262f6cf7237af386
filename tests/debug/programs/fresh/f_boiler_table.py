"""Boiler efficiency from a table of readings with a stuck sensor; every column is standardised before training."""
# case: D16
# codes: data.constant-feature, data.non-finite, numeric.non-finite-loss
# split: fresh
import numpy as np
import torch

SEED = 0
COLUMNS = ["pressure", "feed_temp", "flue_temp", "oxygen", "valve_7", "load"]


def readings(rng, n):
    pressure, feed = rng.normal(12, 1, n), rng.normal(80, 6, n)
    flue, oxygen, load = rng.normal(190, 15, n), rng.gamma(4, 1, n), rng.uniform(0.3, 1, n)
    valve = np.full(n, 50.0)
    eff = 94 - 0.04 * (flue - 120) - 0.5 * oxygen + 3 * load * (1 - load) + 0.02 * feed + rng.normal(0, 0.2, n)
    return np.stack([pressure, feed, flue, oxygen, valve, load], 1), eff


def standardise(table, mean, std):
    return (table - mean) / std  #! return (table - mean) / np.where(std > 0, std, 1.0)


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
table, eff = readings(rng, 1100)
mean, std = table[:800].mean(0), table[:800].std(0)
with np.errstate(all="ignore"):
    x = torch.tensor(standardise(table, mean, std), dtype=torch.float32)  #@
y = torch.tensor((eff - eff[:800].mean()) / eff[:800].std(), dtype=torch.float32)
w = torch.nn.Sequential(torch.nn.Linear(len(COLUMNS), 32), torch.nn.ReLU(), torch.nn.Linear(32, 1), torch.nn.Flatten(0))
opt = torch.optim.Adam(w.parameters(), lr=5e-3)
for epoch in range(25):
    for i in torch.randperm(800).split(40):
        loss = torch.nn.functional.huber_loss(w(x[i]), y[i])  #@
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 5 == 4:
        with torch.no_grad():
            r2 = 1 - ((w(x[800:]) - y[800:]) ** 2).mean() / y[800:].var()
        print(f"epoch {epoch + 1}: huber {loss.item():.4f}, R2 {r2.item():.3f}")
