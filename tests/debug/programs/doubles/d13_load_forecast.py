"""Hourly load forecasting from the last two days and the temperature; a feed-forward network."""
# case: double
# codes: model.no-nonlinearity
# also: data.scaler-leak
# split: rules

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

SEED = 0
PAST = 24
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def simulate(hours=3000):
    t = np.arange(hours)
    temperature = 12 + 9 * np.sin(2 * np.pi * t / 720) + 4 * np.sin(2 * np.pi * t / 24) + rng.normal(0, 1.5, hours)
    daily = 5 * np.sin(2 * np.pi * (t - 6) / 24)
    load = 40 + daily + 0.9 * np.abs(temperature - 14) * (1 + 0.3 * np.sin(2 * np.pi * t / 24)) + rng.normal(0, 0.4, hours)
    return np.stack([load, temperature], 1)


def windows(table):
    past = np.lib.stride_tricks.sliding_window_view(table[:-1, 0], PAST)
    now = table[PAST:, 1:]
    x = np.concatenate([past, now], 1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(table[PAST:, 0], dtype=torch.float32)


class Forecaster(nn.Module):
    def __init__(self, inputs, width=64):
        super().__init__()
        self.inner = nn.Linear(inputs, width)
        self.middle = nn.Linear(width, width)
        self.outer = nn.Linear(width, 1)

    def forward(self, x):
        h = self.inner(x)  #! h = torch.relu(self.inner(x))
        h = self.middle(h)  #! h = torch.relu(self.middle(h))
        return self.outer(h).squeeze(-1)


table = simulate()
cut = 2400
scaler = StandardScaler().fit(table)  #! scaler = StandardScaler().fit(table[:cut])
table = scaler.transform(table)  #@
x, y = windows(table[:cut])
x_val, y_val = windows(table[cut:])
model = Forecaster(x.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(12):
    model.train()
    for idx in torch.randperm(len(x)).split(64):
        loss = nn.functional.mse_loss(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        train_mse, val_mse = ((model(a) - b).square().mean().item() for a, b in ((x, y), (x_val, y_val)))
    print(f"epoch {epoch:2d}  train {train_mse:.4f}  validation {val_mse:.4f}")
