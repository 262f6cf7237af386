"""Functional training with torch.func: weights live in a dictionary; validation calls the module."""
# case: O21
# codes: step.update-lost
# split: held-out

import torch
from sklearn.datasets import make_friedman1
from torch import nn
from torch.func import functional_call

SEED = 0
STEPS, BATCH = 250, 64


def friedman(n, seed):
    x, y = make_friedman1(n_samples=n, n_features=10, noise=0.5, random_state=seed)
    return torch.tensor(x, dtype=torch.float32) * 2 - 1, (torch.tensor(y, dtype=torch.float32) - 14.4) / 5


class Highway(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h):
        open_ = torch.sigmoid(self.gate(h) - 1)
        return open_ * torch.tanh(self.change(h)) + (1 - open_) * h


def build():
    return nn.Sequential(nn.Linear(10, 40), nn.Tanh(), Highway(40), Highway(40), nn.Linear(40, 1), nn.Flatten(0))


def main():
    torch.manual_seed(SEED)
    x, y = friedman(2000, SEED)
    x_val, y_val = friedman(500, SEED + 77)
    net = build()
    weights = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}  #! weights = dict(net.named_parameters())
    optimizer = torch.optim.Adam(list(weights.values()), lr=5e-3)  #@

    def objective(weights, inputs, targets):
        return nn.functional.huber_loss(functional_call(net, weights, (inputs,)), targets)

    for step in range(1, STEPS + 1):
        pick = torch.randint(len(x), (BATCH,))
        loss = objective(weights, x[pick], y[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            with torch.no_grad():
                error = (net(x_val) - y_val).square().mean()  #@
            print(f"{step}: train {loss.item():.4f}, validation mse {error.item():.4f}")


if __name__ == "__main__":
    main()
