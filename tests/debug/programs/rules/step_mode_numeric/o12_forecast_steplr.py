"""Forecast a seasonal series one step ahead with a convolutional network."""
# case: O12
# codes: step.schedule-mistimed
# split: rules

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset

SEED = 0


class Windows(Dataset):
    def __init__(self, series, length):
        self.series = torch.as_tensor(series, dtype=torch.float32)
        self.length = length

    def __len__(self):
        return len(self.series) - self.length

    def __getitem__(self, i):
        return self.series[None, i : i + self.length], self.series[i + self.length]


class Forecaster(nn.Module):
    def __init__(self, length):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 12, 5, padding=2), nn.ReLU(), nn.Conv1d(12, 12, 5, stride=2, padding=2), nn.ReLU()
        )
        self.linear = nn.Linear(12 * (length // 2), 1)

    def forward(self, window):
        return self.linear(self.conv(window).flatten(1)).squeeze(-1)


def make_series(n):
    rng = np.random.default_rng(SEED)
    t = np.arange(n)
    return np.sin(2 * np.pi * t / 24) + 0.5 * np.sin(2 * np.pi * t / 7 + 1) * np.cos(2 * np.pi * t / 60) + 0.05 * rng.standard_normal(n)


torch.manual_seed(SEED)
LENGTH = 32
series = make_series(1400)
train_part, val_part = series[:1100], series[1100:]
center, scale = train_part.mean(), train_part.std()
train_loader = DataLoader(Windows((train_part - center) / scale, LENGTH), batch_size=32, shuffle=True)
val_loader = DataLoader(Windows((val_part - center) / scale, LENGTH), batch_size=128)

model = Forecaster(LENGTH)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
scheduler = StepLR(optimizer, step_size=4, gamma=0.1)  #@

for epoch in range(8):
    model.train()
    losses = []
    for window, value in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(window), value)
        loss.backward()
        optimizer.step()
        scheduler.step()  #!
        losses.append(loss.item())
    #+ scheduler.step()
    model.eval()
    with torch.no_grad():
        val = np.mean([criterion(model(window), value).item() for window, value in val_loader])
    print(f"epoch {epoch} train {np.mean(losses):.4f} val {val:.4f}")
