"""Regression with uncertainty: dropout stays on at prediction time and several passes are averaged."""
# case: H09
# codes: none
# split: rules

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
np.random.seed(SEED)
torch.manual_seed(SEED)


class MCDropout(nn.Module):
    """Dropout that samples in every mode (Gal and Ghahramani, 2016)."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, training=True)


class BayesianMLP(nn.Module):
    def __init__(self, d_in, hidden=128, p=0.1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_in, hidden), nn.ReLU(), MCDropout(p),
            nn.Linear(hidden, hidden), nn.ReLU(), MCDropout(p),
            nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x).squeeze(-1)

    @torch.no_grad()
    def predict(self, x, passes=30):
        draws = torch.stack([self(x) for _ in range(passes)])
        return draws.mean(0), draws.std(0)


def generate(n):
    x = np.random.uniform(-2, 2, size=(n, 3)).astype(np.float32)
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + 0.1 * np.random.randn(n)
    return torch.from_numpy(x), torch.from_numpy(y.astype(np.float32))


x_train, y_train = generate(2000)
x_val, y_val = generate(400)
model = BayesianMLP(3)
opt = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(15):
    model.train()
    total = 0.0
    for chunk in torch.randperm(len(x_train)).split(100):
        loss = F.mse_loss(model(x_train[chunk]), y_train[chunk])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(chunk)
    if epoch % 3 == 2:
        model.eval()
        mean, spread = model.predict(x_val)
        rmse = (mean - y_val).pow(2).mean().sqrt().item()
        far = model.predict(x_val + 6.0)[1].mean().item()
        print(f"epoch {epoch + 1:2d} train mse {total / len(x_train):.4f} val rmse {rmse:.3f} spread {spread.mean():.3f} far away {far:.3f}")
print("std of the validation target:", y_val.std().item())
