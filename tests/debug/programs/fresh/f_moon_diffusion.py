"""Tiny denoising diffusion of points on two moons: predict the noise, then sample backwards."""
# case: healthy
# codes: none
# split: fresh
import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import nn

SEED = 0
STEPS = 40
torch.manual_seed(SEED)
points, _ = make_moons(3000, noise=0.04, random_state=SEED)
points = torch.tensor((points - points.mean(0)) / points.std(0), dtype=torch.float32)
beta = torch.linspace(1e-3, 0.2, STEPS)
alpha = 1 - beta
alpha_bar = torch.cumprod(alpha, 0)


class NoiseNet(nn.Module):
    def __init__(self, width=128):
        super().__init__()
        self.time = nn.Embedding(STEPS, 16)
        self.net = nn.Sequential(nn.Linear(18, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x, t):
        return self.net(torch.cat([x, self.time(t)], 1))


def noised(x0, t, eps):
    return alpha_bar[t, None].sqrt() * x0 + (1 - alpha_bar[t, None]).sqrt() * eps


@torch.no_grad()
def sample(net, n):
    x = torch.randn(n, 2)
    for s in reversed(range(STEPS)):
        t = torch.full((n,), s)
        x = (x - beta[s] / (1 - alpha_bar[s]).sqrt() * net(x, t)) / alpha[s].sqrt()
        if s:
            x = x + beta[s].sqrt() * torch.randn_like(x)
    return x


net = NoiseNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
losses = []
for it in range(1, 3001):
    x0 = points[torch.randint(0, len(points), (128,))]
    t, eps = torch.randint(0, STEPS, (128,)), torch.randn(128, 2)
    loss = ((net(noised(x0, t, eps), t) - eps) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    losses.append(loss.item())
    if it % 1000 == 0:
        made = sample(net, 500)
        print(f"it {it}: loss {np.mean(losses[-1000:]):.4f}, distance of samples to the data {torch.cdist(made, points).amin(1).mean():.3f}")
