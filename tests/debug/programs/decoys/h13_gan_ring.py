"""A GAN on eight Gaussians arranged in a ring, with one optimiser for each player."""
# case: H13
# codes: none
# split: rules

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
torch.manual_seed(SEED)

angles = torch.arange(8) * (2 * math.pi / 8)
centres = torch.stack([angles.cos(), angles.sin()], dim=1)


def real_points(n):
    return centres[torch.randint(8, (n,))] + 0.1 * torch.randn(n, 2)


def mlp(*sizes):
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


generator = mlp(8, 96, 96, 2)
discriminator = mlp(2, 96, 96, 1)
opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
opt_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.99))
batch = 256

for step in range(900):
    real = real_points(batch).requires_grad_()
    fake = generator(torch.randn(batch, 8)).detach()
    d_real, d_fake = discriminator(real), discriminator(fake)
    (slope,) = torch.autograd.grad(d_real.sum(), real, create_graph=True)
    loss_d = F.softplus(-d_real).mean() + F.softplus(d_fake).mean() + 0.1 * slope.square().sum(1).mean()
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()

    loss_g = F.softplus(-discriminator(generator(torch.randn(batch, 8)))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()

    if step % 150 == 149:
        generator.eval()
        with torch.no_grad():
            samples = generator(torch.randn(2000, 8))
        generator.train()
        distance, nearest = torch.cdist(samples, centres).min(dim=1)
        good = distance < 0.3
        modes = (torch.bincount(nearest[good], minlength=8) > 60).sum().item()
        print(f"step {step + 1}: D {loss_d.item():.3f} G {loss_g.item():.3f}  near a mode {good.float().mean():.2f}  modes {modes}/8")
