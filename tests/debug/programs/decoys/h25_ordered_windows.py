"""Load forecasting on sliding windows fed in time order, with a chronological split."""
# case: H25
# codes: none
# split: rules

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
torch.manual_seed(SEED)


class Windows(Dataset):
    """`history` hours of load and the hour of day in, the next hour's load out."""

    def __init__(self, load, hour, history=24):
        self.load, self.hour, self.history = load, hour, history

    def __len__(self):
        return len(self.load) - self.history

    def __getitem__(self, i):
        j = i + self.history
        clock = 2 * math.pi * self.hour[j] / 24
        extra = torch.stack([torch.sin(clock), torch.cos(clock)])
        return torch.cat([self.load[i:j], extra]), self.load[j : j + 1]


t = torch.arange(24 * 150)
hour = (t % 24).float()
daily = torch.sin(2 * math.pi * (hour - 7) / 24) + 0.4 * torch.sin(4 * math.pi * hour / 24)
weekly = 0.5 * ((t // 24) % 7 < 5).float()
noise = torch.zeros(len(t))
shocks = 0.15 * torch.randn(len(t))
for k in range(1, len(t)):
    noise[k] = 0.8 * noise[k - 1] + shocks[k]
load = 50 + 12 * (daily + weekly + noise)

cut = 24 * 120
mean, std = load[:cut].mean(), load[:cut].std()
scaled = (load - mean) / std
train_set, val_set = Windows(scaled[:cut], hour[:cut]), Windows(scaled[cut:], hour[cut:])
train_loader = DataLoader(train_set, batch_size=64, shuffle=False)  # in time order, as the deployed model will see it
val_loader = DataLoader(val_set, batch_size=256, shuffle=False)

model = nn.Sequential(nn.Linear(26, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
criterion = nn.MSELoss()
naive = (scaled[cut + 24 :] - scaled[cut:-24]).pow(2).mean().sqrt() * std
print(f"same hour of yesterday: rmse {naive:.2f}")
for epoch in range(8):
    model.train()
    total = 0.0
    for window, target in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(window), target)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(target)
    model.eval()
    with torch.no_grad():
        sse = sum((model(w) - y).square().sum().item() for w, y in val_loader)
    train_rmse, val_rmse = math.sqrt(total / len(train_set)) * std, math.sqrt(sse / len(val_set)) * std
    print(f"epoch {epoch + 1}: train rmse {train_rmse:.2f}, validation rmse {val_rmse:.2f}")
