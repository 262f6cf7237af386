"""Fit the first Friedman function with full-batch gradient descent."""
# case: O11
# codes: step.oscillating, step.learning-rate-too-high
# split: rules

import numpy as np
import torch
from sklearn.datasets import make_friedman1

SEED = 0
torch.manual_seed(SEED)

features, response = make_friedman1(n_samples=1200, n_features=6, noise=0.5, random_state=SEED)
train_rows, val_rows = slice(0, 900), slice(900, None)


def standardise(a):
    return (a - a[train_rows].mean(0)) / a[train_rows].std(0)


x = torch.tensor(standardise(features), dtype=torch.float32)
y = torch.tensor(standardise(response), dtype=torch.float32)


class Regressor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin1 = torch.nn.Linear(6, 24)
        self.lin2 = torch.nn.Linear(24, 1)

    def forward(self, rows):
        return self.lin2(torch.tanh(self.lin1(rows)))[..., 0]


def mse(rows):
    return ((model(x[rows]) - y[rows]) ** 2).mean()


model = Regressor()
optimiser = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.99)  #! optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
history = []
for iteration in range(300):
    optimiser.zero_grad()
    loss = mse(train_rows)
    loss.backward()
    optimiser.step()
    history.append(loss.item())
    if iteration % 20 == 19:
        with torch.no_grad():
            print(f"{iteration + 1:4d}  train {history[-1]:.4f}  validation {mse(val_rows).item():.4f}")
print(f"mean of the last 20: {np.mean(history[-20:]):.4f}")
