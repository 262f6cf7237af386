"""House prices in plain dollars; the output layer starts at the mean price of the training set."""
# case: H24
# codes: none
# split: held-out

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0


def load_houses(n, rng):
    area = rng.normal(140, 35, n).clip(50, 280)
    rooms = (area / 30 + rng.normal(0, 0.8, n)).round().clip(1, 9)
    age = rng.uniform(0, 80, n)
    distance = rng.gamma(2.0, 4.0, n)
    garden = (rng.random(n) < 0.4).astype(float)
    price = 60_000 + 1_900 * area + 8_000 * rooms - 900 * age - 6_000 * distance + 25_000 * garden
    price += 40_000 * np.exp(-distance / 3) * (age < 20) + rng.normal(0, 12_000, n)
    return np.stack([area, rooms, age, distance, garden], axis=1), price


class PriceModel(nn.Module):
    def __init__(self, n_features, mean_price, price_spread):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(n_features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.price = nn.Linear(64, 1)
        self.spread = price_spread
        nn.init.constant_(self.price.bias, mean_price / price_spread)

    def forward(self, x):
        return self.spread * self.price(self.trunk(x)).squeeze(1)


torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)
features, price = load_houses(5000, rng)
n_train = 4000
mean, std = features[:n_train].mean(0), features[:n_train].std(0)
x = torch.tensor((features - mean) / std, dtype=torch.float32)
y = torch.tensor(price, dtype=torch.float32)
train_loader = DataLoader(TensorDataset(x[:n_train], y[:n_train]), batch_size=100, shuffle=True)
x_val, y_val = x[n_train:], y[n_train:]

model = PriceModel(5, y[:n_train].mean().item(), y[:n_train].std().item())
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
criterion = nn.MSELoss()
for epoch in range(8):
    model.train()
    for xb, yb in train_loader:
        loss = criterion(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        residual = model(x_val) - y_val
    r2 = 1 - residual.var() / y_val.var()
    print(f"epoch {epoch}: last batch rmse {loss.item() ** 0.5:9.0f}  val rmse {residual.pow(2).mean().sqrt():9.0f}  R2 {r2:.3f}")
