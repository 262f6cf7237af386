"""Surrogate for the temperature along a heated rod: from position, time and diffusivity to the solution."""
# case: O09
# codes: step.learning-rate-too-high
# split: fresh
import math

import torch
from torch import nn

SEED = 0
CONFIG = {
    "layers": [3, 50, 50, 1],
    "lr": 4.0,  #! "lr": 0.05,
    "epochs": 25,
    "batch": 64,
}


def rod(n):
    x, t, a = torch.rand(n), torch.rand(n), 0.1 + 0.3 * torch.rand(n)
    u = sum(torch.exp(-a * (k * math.pi) ** 2 * t) * torch.sin(k * math.pi * x) / k for k in (1, 2, 3))
    return torch.stack([2 * x - 1, 2 * t - 1, (a - 0.25) * 6], 1), u[:, None]


def network(sizes):
    mods = []
    for i, o in zip(sizes, sizes[1:]):
        mods.extend([nn.Linear(i, o), nn.Tanh()])
    return nn.Sequential(*mods[:-1])


def solve(cfg):
    torch.manual_seed(SEED)
    (z, u), (zt, ut) = rod(2000), rod(500)
    net = network(cfg["layers"])
    opt = torch.optim.SGD(net.parameters(), lr=cfg["lr"], momentum=0.9)  #@
    for epoch in range(cfg["epochs"]):
        for i in torch.randperm(len(z)).split(cfg["batch"]):
            loss = nn.functional.mse_loss(net(z[i]), u[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 5 == 4:
            with torch.no_grad():
                rel = ((net(zt) - ut).norm() / ut.norm()).item()
            print(f"{epoch + 1:3d}  loss {loss.item():.3e}  relative error {rel:.3f}")


solve(CONFIG)
