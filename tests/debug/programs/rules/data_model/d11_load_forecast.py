"""Forecast tomorrow's load from the last 24 readings with a GRU; the last fifth of the series is for validation."""
# case: D11
# codes: data.scaler-leak
# split: rules

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
WINDOW = 24


def make_series(length=1500):
    rng = np.random.default_rng(SEED)
    hours = np.arange(length)
    level = 300 + 40 * np.clip((hours - 900) / 600, 0, 1)
    daily = 40 * np.sin(2 * np.pi * hours / 24) + 15 * np.sin(2 * np.pi * hours / 168)
    noise = np.zeros(length)
    for t in range(1, length):
        noise[t] = 0.8 * noise[t - 1] + rng.normal(0, 4)
    return level + daily + noise


class Scaler:
    def fit(self, values):
        self.center, self.width = values.mean(), values.std()
        return self

    def transform(self, values):
        return (values - self.center) / self.width

    def inverse(self, values):
        return values * self.width + self.center


class Windows(Dataset):
    def __init__(self, series):
        self.series = torch.tensor(series, dtype=torch.float32)

    def __len__(self):
        return len(self.series) - WINDOW

    def __getitem__(self, i):
        return self.series[i : i + WINDOW, None], self.series[i + WINDOW]


class Forecaster(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 1)

    def forward(self, window):
        _, last = self.rnn(window)
        return window[:, -1, 0] + self.out(last[-1]).squeeze(-1)


torch.manual_seed(SEED)
series = make_series()
cut = int(0.8 * len(series))
scaler = Scaler().fit(series)  #! scaler = Scaler().fit(series[:cut])
train_series, val_series = scaler.transform(series[:cut]), scaler.transform(series[cut - WINDOW :])  #@
train_loader = DataLoader(Windows(train_series), batch_size=64, shuffle=True)
val_loader = DataLoader(Windows(val_series), batch_size=256)

model = Forecaster(24)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.HuberLoss()
for epoch in range(10):
    model.train()
    train_loss = 0.0
    for window, following in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(window), following)
        loss.backward()
        optimizer.step()
        train_loss += loss.item() / len(train_loader)
    model.eval()
    errors = []
    with torch.no_grad():
        for window, following in val_loader:
            errors.append(scaler.inverse(model(window)) - scaler.inverse(following))
    mae = torch.cat(errors).abs().mean().item()
    print(f"epoch {epoch:2d} train loss {train_loss:.4f} val MAE {mae:.2f} MW")
