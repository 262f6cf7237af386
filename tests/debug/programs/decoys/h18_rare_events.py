"""Rare-event detection: 3% positives; the output bias starts at the log-odds of the training set."""
# case: H18
# codes: none
# split: held-out

import math

import numpy as np
import torch
import torch.nn as nn
from sklearn.metrics import average_precision_score, recall_score
from torch.utils.data import DataLoader, TensorDataset

SEED = 0


def simulate(n, rng):
    """Vibration features of machines; faults shift a combination of three of them."""
    x = rng.normal(size=(n, 10)).astype(np.float32)
    fault = rng.random(n) < 0.03
    x[fault, :3] += np.array([2.4, -2.0, 2.2], dtype=np.float32)
    return torch.from_numpy(x), torch.from_numpy(fault.astype(np.float32))


class Detector(nn.Module):
    def __init__(self, n_in, prior):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh())
        self.logit = nn.Linear(16, 1)
        nn.init.normal_(self.logit.weight, std=0.01)
        nn.init.constant_(self.logit.bias, math.log(prior / (1 - prior)))

    def forward(self, x):
        return self.logit(self.body(x))[:, 0]


def main():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    x, y = simulate(8000, rng)
    x_val, y_val = simulate(4000, rng)
    model = Detector(10, prior=y.mean().item())
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=256, shuffle=True)
    for epoch in range(8):
        model.train()
        for i, (xb, yb) in enumerate(loader):
            loss = criterion(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if epoch == 0 and i % 8 == 0:
                print(f"  batch {i} loss {loss.item():.4f}")
        model.eval()
        with torch.no_grad():
            score = model(x_val).sigmoid()
        precision = average_precision_score(y_val, score)
        recall = recall_score(y_val, score > 0.3)
        print(f"epoch {epoch} loss {loss.item():.4f} | val average precision {precision:.3f} recall at 0.3: {recall:.3f}")


main()
