"""Forecast eight hours of water levels at five gauges along a canal from the last forty-eight."""
# case: D11
# codes: data.scaler-leak
# split: held-out

import numpy as np
import torch
from torch import nn

SEED = 0
PAST, AHEAD, GAUGES = 48, 8, 5


def levels(hours, rng):
    t = np.arange(hours)[:, None]
    day = rng.uniform(10, 25, GAUGES) * np.sin(2 * np.pi * t / 24 + rng.uniform(0, 6, GAUGES))
    tide = rng.uniform(6, 12, GAUGES) * np.sin(2 * np.pi * t / 12.4 + rng.uniform(0, 6, GAUGES))
    season = 60 * (t / hours) ** 2
    return 240 + day + tide + season + rng.normal(0, 2, (hours, GAUGES))


def windows(series):
    pieces = torch.as_tensor(series, dtype=torch.float32).unfold(0, PAST + AHEAD, 1).transpose(1, 2)
    return pieces[:, :PAST], pieces[:, PAST:]


class Forecaster(nn.Module):
    """Predicts the change from the last level, so that the level itself may drift."""

    def __init__(self, hidden=48):
        super().__init__()
        self.encoder = nn.LSTM(GAUGES, hidden, batch_first=True)
        self.decoder = nn.Linear(hidden, AHEAD * GAUGES)

    def forward(self, past):
        last = past[:, -1:]
        _, (state, _) = self.encoder(past - last)
        return last + self.decoder(state[-1]).unflatten(1, (AHEAD, GAUGES))


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
series = levels(1400, rng)
cut = 1000
mean, std = series.mean(axis=0), series.std(axis=0)  #! mean, std = series[:cut].mean(axis=0), series[:cut].std(axis=0)
series = (series - mean) / std  #@
x_train, y_train = windows(series[:cut])
x_valid, y_valid = windows(series[cut:])
unit = torch.as_tensor(std, dtype=torch.float32)

model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
for epoch in range(10):
    model.train()
    total = 0.0
    for rows in torch.randperm(len(x_train)).split(50):
        loss = nn.functional.smooth_l1_loss(model(x_train[rows]), y_train[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    schedule.step()
    model.eval()
    with torch.no_grad():
        forecast = model(x_valid)
        error = nn.functional.smooth_l1_loss(forecast, y_valid)
        missed = ((forecast - y_valid).abs() * unit).mean()
    print(f"{epoch}: train {total / len(x_train):.4f}, valid {error:.4f}, off by {missed:.2f} cm")
