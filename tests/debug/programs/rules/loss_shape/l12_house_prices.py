"""House prices from size, age, rooms and district, with an embedding for the district."""
# case: L12
# codes: loss.target-scale
# split: rules

import numpy as np
import torch
from torch import nn

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

n, districts = 1600, 12
size = rng.gamma(9.0, 13.0, n)
age = rng.uniform(0, 90, n)
rooms = np.clip(np.round(size / 28 + rng.normal(0, 0.7, n)), 1, 9)
district = rng.integers(0, districts, n)
level = rng.uniform(1800, 5200, districts)
price = 40_000 + level[district] * size * (1 - 0.004 * age) + 9_000 * rooms + rng.normal(0, 9_000, n)

train, val = np.arange(n) < 1280, np.arange(n) >= 1280


def standardise(values):
    return (values - values[train].mean(axis=0)) / values[train].std(axis=0)


numbers = torch.tensor(standardise(np.column_stack([size, age, rooms])), dtype=torch.float32)
place = torch.tensor(district)
target = torch.tensor(price, dtype=torch.float32)  #! target = torch.tensor(standardise(price), dtype=torch.float32)


class PriceModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Embedding(districts, 4)
        self.net = nn.Sequential(nn.Linear(7, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, numbers, place):
        return self.net(torch.cat([numbers, self.place(place)], dim=1)).squeeze(1)


def r_squared(guess, truth):
    return 1 - ((guess - truth) ** 2).mean() / truth.var(unbiased=False)


model = PriceModel()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
train_rows, val_rows = torch.tensor(np.flatnonzero(train)), torch.tensor(np.flatnonzero(val))
for epoch in range(1, 9):
    model.train()
    for rows in train_rows[torch.randperm(len(train_rows))].split(40):
        loss = criterion(model(numbers[rows], place[rows]), target[rows])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        guess = model(numbers[val_rows], place[val_rows])
        val_loss = criterion(guess, target[val_rows]).item()
    print(f"epoch {epoch} train {loss.item():.4g} val {val_loss:.4g} R2 {r_squared(guess, target[val_rows]):.3f}")
