"""Solve u'' = f with a small network and L-BFGS (a physics-informed fit with a closure)."""
# case: healthy
# codes: none
# split: held-out

import math

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class Solution(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x):
        return x * (1 - x) * self.net(2 * x - 1)  # zero at both ends


def true_u(x):
    return torch.sin(math.pi * x) + 0.3 * torch.sin(3 * math.pi * x)


def source(x):
    return -(math.pi**2) * (torch.sin(math.pi * x) + 2.7 * torch.sin(3 * math.pi * x))


def residual(u, x):
    x = x.requires_grad_()
    value = u(x)
    (du,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (ddu,) = torch.autograd.grad(du.sum(), x, create_graph=True)
    return ddu - source(x)


u = Solution()
points = torch.linspace(0, 1, 101)[1:-1, None]
scale = source(points).square().mean()
optimizer = torch.optim.LBFGS(u.parameters(), lr=1.0, max_iter=4, history_size=30, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = residual(u, points.clone()).square().mean() / scale
    loss.backward()
    return loss


test_x = torch.rand(500, 1)
for iteration in range(60):
    loss = optimizer.step(closure)
    if iteration % 10 == 9:
        with torch.no_grad():
            error = (u(test_x) - true_u(test_x)).abs().max().item()
        print(f"iteration {iteration + 1}: relative residual {loss.item():.2e}, largest error {error:.2e}")
