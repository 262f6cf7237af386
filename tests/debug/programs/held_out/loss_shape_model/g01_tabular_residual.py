"""Residual network for a table with interacting columns (Friedman's first function)."""
# case: G01
# codes: model.no-nonlinearity
# split: held-out
import numpy as np
import torch
from sklearn.datasets import make_friedman1
from torch import nn
from torch.nn import functional as F

SEED = 0


class ResidualUnit(nn.Module):
    """Widen, narrow, drop out, add."""

    def __init__(self, dim, factor=3, rate=0.05):
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.up = nn.Linear(dim, factor * dim)
        self.down = nn.Linear(factor * dim, dim)
        self.rate = rate

    def forward(self, x):
        z = self.up(self.norm(x))  #! z = F.relu(self.up(self.norm(x)))
        z = F.dropout(self.down(z), self.rate, self.training)
        return x + z


class TabularResNet(nn.Module):
    def __init__(self, columns, dim=32, depth=3):
        super().__init__()
        self.first = nn.Linear(columns, dim)
        self.units = nn.ModuleList(ResidualUnit(dim) for _ in range(depth))
        self.last = nn.Linear(dim, 1)

    def forward(self, table):
        x = self.first(table)
        for unit in self.units:
            x = unit(x)
        return self.last(x)[:, 0]


def load():
    x, y = make_friedman1(n_samples=3000, n_features=8, noise=0.3, random_state=SEED)
    x = (x - 0.5) * np.sqrt(12)
    y = (y - y[:2400].mean()) / y[:2400].std()
    return [torch.from_numpy(a.astype(np.float32)) for a in (x[:2400], y[:2400], x[2400:], y[2400:])]


def fit(model, x, y, x_val, y_val, epochs=10, batch=80):
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 1e-2}, {"params": plain, "weight_decay": 0}], lr=3e-3)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=20)
    for epoch in range(epochs):
        model.train()
        sum_loss = 0.0
        for rows in torch.randperm(len(x)).split(batch):
            loss = F.mse_loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            warm.step()
            sum_loss += loss.item() * len(rows)
        model.eval()
        with torch.no_grad():
            val = F.mse_loss(model(x_val), y_val).item()
        print(f"epoch {epoch}: mse {sum_loss / len(x):.4f}, validation mse {val:.4f}")
    return model


if __name__ == "__main__":
    torch.manual_seed(SEED)
    fit(TabularResNet(8), *load())
