"""Predict wind power with its uncertainty: the network gives mean and spread of a normal distribution."""
# case: L09
# codes: loss.wrong-sign
# split: fresh
import math

import torch
from torch import nn
from torch.distributions import Normal

SEED = 0
torch.manual_seed(SEED)


class Heteroscedastic(nn.Module):
    def __init__(self, n_in, hidden=48):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(n_in, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus())
        self.mu = nn.Linear(hidden, 1)
        self.raw = nn.Linear(hidden, 1)

    def forward(self, x):
        z = self.trunk(x)
        sigma = 0.02 + nn.functional.softplus(self.raw(z))
        return Normal(self.mu(z).squeeze(-1), sigma.squeeze(-1))


def turbine(n):
    speed, angle, temp = torch.rand(n) * 2 - 1, torch.rand(n) * 2 - 1, torch.randn(n)
    power = 1 / (1 + torch.exp(-5 * speed)) * torch.cos(angle) + 0.02 * temp
    noise = 0.04 + 0.1 * (speed + 1) / 2
    return torch.stack([speed, angle, temp], 1), power + noise * torch.randn(n)


x, y = turbine(1500)
x_val, y_val = turbine(400)
net = Heteroscedastic(3)
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(20):
    for rows in torch.randperm(len(x)).split(50):
        log_likelihood = net(x[rows]).log_prob(y[rows])
        loss = log_likelihood.mean()  #! loss = -log_likelihood.mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 4 == 3:
        with torch.no_grad():
            d = net(x_val)
            rmse = math.sqrt(((d.mean - y_val) ** 2).mean())
        print(f"epoch {epoch + 1:2d}  loss {loss.item():10.3f}  rmse {rmse:8.3f}  mean sigma {d.stddev.mean():.3f}")
