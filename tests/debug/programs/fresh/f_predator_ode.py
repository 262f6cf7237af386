"""Neural ODE of predators and prey: a learnt right-hand side, fourth-order Runge-Kutta steps, short pieces of a path."""
# case: healthy
# codes: none
# split: fresh
import torch
from torch import nn

SEED = 0
DT = 0.1


def rk4(f, y, h):
    k1 = f(y)
    k2 = f(y + 0.5 * h * k1)
    k3 = f(y + 0.5 * h * k2)
    k4 = f(y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def follow(f, y, steps):
    path = [y]
    for _ in range(steps):
        path.append(rk4(f, path[-1], DT))
    return torch.stack(path, 1)


def nature(y):
    a, b = y[..., 0], y[..., 1]
    return torch.stack([1.2 * a - 0.9 * a * b, -1.1 * b + 0.8 * a * b], -1)


class Derivative(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 2))

    def forward(self, y):
        return self.net(y - 1.2)


torch.manual_seed(SEED)
with torch.no_grad():
    starts = 0.5 + 1.5 * torch.rand(24, 2)
    paths = follow(nature, starts, 60) + 0.01 * torch.randn(24, 61, 2)
    test_start = 0.5 + 1.5 * torch.rand(10, 2)
    test = follow(nature, test_start, 60)
f = Derivative()
opt = torch.optim.Adam(f.parameters(), lr=5e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 500)
for it in range(1, 501):
    run, at = torch.randint(0, 24, (48,)), torch.randint(0, 50, (48,))
    piece = paths[run[:, None], at[:, None] + torch.arange(9)]
    loss = ((follow(f, piece[:, 0], 8) - piece) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    schedule.step()
    if it % 125 == 0:
        with torch.no_grad():
            err = ((follow(f, test_start, 60) - test) ** 2).mean().sqrt()
        print(f"iteration {it}: piece loss {loss.item():.6f}, whole paths off by {err:.4f} (spread {test.std():.3f})")
