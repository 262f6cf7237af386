"""Adversarial generator of daily price shapes: two networks, two optimisers, least-squares objective."""
# case: healthy
# codes: none
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)
LEN, NOISE = 16, 6


def real(n):
    t = torch.linspace(0, 1, LEN)
    peak = 0.5 + 0.12 * torch.randn(n, 1)
    return (0.8 + 0.2 * torch.rand(n, 1)) * torch.exp(-(((t - peak) / 0.12) ** 2)) + 0.02 * torch.randn(n, LEN)


G = nn.Sequential(nn.Linear(NOISE, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, LEN))
D = nn.Sequential(nn.Linear(LEN, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.9))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.9))
for it in range(1, 1501):
    x, z = real(64), torch.randn(64, NOISE)
    d_loss = ((D(x) - 1) ** 2).mean() + (D(G(z).detach()) ** 2).mean()
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()
    g_loss = ((D(G(torch.randn(64, NOISE))) - 1) ** 2).mean()
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()
    if it % 300 == 0:
        with torch.no_grad():
            made, ref = G(torch.randn(500, NOISE)), real(500)
            near = torch.cdist(made, ref).amin(1).mean()
            early = (made.argmax(1) < LEN // 2).float().mean()
        print(f"{it}: D {d_loss.item():.3f} G {g_loss.item():.3f} distance to real {near:.3f} (real to real {torch.cdist(real(500), ref).amin(1).mean():.3f}), early peaks {early:.2f}")
