"""Density estimation with affine coupling layers; the objective is the negative log-likelihood."""
# case: H14
# codes: none
# split: held-out

import math

import torch
from sklearn.datasets import make_moons
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class Coupling(nn.Module):
    def __init__(self, flip, hidden=48):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 2))

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        if self.flip:
            a, b = b, a
        shift, log_scale = self.net(a).chunk(2, dim=1)
        log_scale = 2 * torch.tanh(log_scale)
        b = b * log_scale.exp() + shift
        y = torch.cat([b, a] if self.flip else [a, b], dim=1)
        return y, log_scale.squeeze(1)


class Flow(nn.Module):
    def __init__(self, depth=6, scale=1.0):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(flip=bool(i % 2)) for i in range(depth))
        self.register_buffer("scale", torch.tensor(scale))

    def log_prob(self, x):
        x = x / self.scale
        log_det = -2 * self.scale.log().expand(len(x))
        for layer in self.layers:
            x, ld = layer(x)
            log_det = log_det + ld
        return -0.5 * x.square().sum(1) - math.log(2 * math.pi) + log_det


# positions in metres of two curved tracks, so densities are well above one
x, _ = make_moons(4000, noise=0.06, random_state=SEED)
x = torch.tensor((x - x.mean(0)) * 0.2, dtype=torch.float32)
train, valid = x[:3000], x[3000:]

flow = Flow(scale=train.std().item())
optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.93)
gaussian = torch.distributions.MultivariateNormal(train.mean(0), train.T.cov())
print(f"one Gaussian: validation nll {-gaussian.log_prob(valid).mean():.3f}")

for epoch in range(15):
    flow.train()
    for batch in train[torch.randperm(len(train))].split(150):
        nll = -flow.log_prob(batch).mean()
        optimizer.zero_grad()
        nll.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimizer.step()
    scheduler.step()
    if epoch % 3 == 2:
        flow.eval()
        with torch.no_grad():
            print(f"epoch {epoch + 1}: train nll {nll.item():.3f}, validation nll {-flow.log_prob(valid).mean().item():.3f}")
