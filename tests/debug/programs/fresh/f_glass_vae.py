"""Refraction profiles of glass beads, a variational autoencoder that is used to draw new ones.

Planted: the network gives the logarithm of the variance, but the sampling takes its exponential as the standard
deviation, so the divergence is that of another distribution: the printed objective looks better, yet the code fills less
than half of the space that new profiles are drawn from and they come out too wild.
"""
# case: unlisted
# codes: none-listed
# split: fresh
import torch
from torch import nn

SEED = 0


class Beads(nn.Module):
    def __init__(self, n=30, h=64, k=2):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n, h), nn.ELU(), nn.Linear(h, h), nn.ELU())
        self.mean, self.logvar = nn.Linear(h, k), nn.Linear(h, k)
        self.draw = nn.Sequential(nn.Linear(k, h), nn.ELU(), nn.Linear(h, h), nn.ELU(), nn.Linear(h, n))

    def forward(self, x):
        h = self.body(x)
        m, lv = self.mean(h), self.logvar(h)
        sd = torch.exp(lv)  #! sd = torch.exp(lv / 2)
        return self.draw(m + sd * torch.randn_like(sd)), m, lv  #@


def profiles(n):
    r = torch.linspace(-1, 1, 30)
    a, b = torch.randn(n, 1), torch.randn(n, 1)
    return (1 + 0.3 * a) * torch.cos(1.5 * r + 0.5 * b) + 0.2 * torch.randn(n, 30)


def objective(x, out, m, lv, noise=0.2):
    rec = 0.5 * ((out - x) / noise).pow(2).sum(1)
    kl = 0.5 * (m.pow(2) + lv.exp() - 1 - lv).sum(1)
    return (rec + kl).mean(), kl.mean()


torch.manual_seed(SEED)
x, xt = profiles(2000), profiles(400)
net = Beads()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(1, 31):
    for b in x[torch.randperm(2000)].split(50):
        loss, _ = objective(b, *net(b))
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 6 == 0:
        with torch.no_grad():
            out, m, lv = net(xt)
            bound, kl = objective(xt, out, m, lv)
            new = net.draw(torch.randn(2000, 2))
        print(f"epoch {epoch}: test objective {bound:.2f}, divergence {kl:.2f}, variance of drawn profiles {new.var(0).mean():.3f} (of the data {xt.var(0).mean() - 0.04:.3f})")
