"""Forecast the electric load of the next hours from the last two days with a 1-D CNN."""
# case: L15
# codes: loss.unreachable-target
# split: rules

import math

import torch
from torch import nn

SEED = 0
HISTORY, HORIZON = 48, 6
torch.manual_seed(SEED)


def make_series(hours):
    t = torch.arange(hours, dtype=torch.float32)
    day = torch.sin(2 * math.pi * t / 24) + 0.4 * torch.cos(4 * math.pi * t / 24)
    week = 0.6 * torch.sin(2 * math.pi * t / 168)
    return 50 + 12 * (day + week) + 1.5 * torch.randn(hours)


def windows(series):
    w = series.unfold(0, HISTORY + HORIZON, 1)
    return w[:, None, :HISTORY], w[:, HISTORY:]


series = make_series(24 * 7 * 12)
boundary = 24 * 7 * 9
mean, std = series[:boundary].mean(), series[:boundary].std()
scaled = (series - mean) / std
x_train, y_train = windows(scaled[:boundary])
x_val, y_val = windows(scaled[boundary:])

model = nn.Sequential(
    nn.Conv1d(1, 16, 5, padding=2),
    nn.ReLU(),
    nn.MaxPool1d(2),
    nn.Conv1d(16, 16, 5, padding=2),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(16 * HISTORY // 2, 64),
    nn.ReLU(),
    nn.Linear(64, HORIZON),
    nn.ReLU(),  #!
)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.3)
huber = nn.SmoothL1Loss()

for epoch in range(8):
    model.train()
    epoch_loss = 0.0
    for rows in torch.randperm(len(x_train)).split(64):
        loss = huber(model(x_train[rows]), y_train[rows])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(rows) / len(x_train)
    scheduler.step()
    model.eval()
    with torch.no_grad():
        mae = ((model(x_val) - y_val).abs().mean() * std).item()
    print(f"epoch {epoch + 1}: train {epoch_loss:.4f}  validation MAE {mae:.2f} MW")
