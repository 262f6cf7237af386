"""Variational autoencoder of ocean wave profiles, the weight of the divergence rises during the first epochs."""
# case: healthy
# codes: none
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0


class WaveVAE(nn.Module):
    def __init__(self, points=40, hidden=64, latent=3):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(points, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent))
        self.dec = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, points))

    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.dec(z), mu, logvar


def profiles(n):
    u = torch.linspace(0, 1, 40)
    height, place, steep = 0.5 + torch.rand(n, 1), 0.2 + 0.6 * torch.rand(n, 1), 8 + 10 * torch.rand(n, 1)
    return height / torch.cosh(steep * (u - place)) ** 2 + 0.02 * torch.randn(n, 40)


def terms(model, x):
    out, mu, logvar = model(x)
    rec = F.mse_loss(out, x, reduction="none").sum(1).mean() / (2 * 0.05**2)
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
    return rec, kl


def main():
    torch.manual_seed(SEED)
    train, test = profiles(1500), profiles(300)
    model = WaveVAE()
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(30):
        model.train()
        beta = min(1.0, (epoch + 1) / 10)
        for x in train[torch.randperm(len(train))].split(50):
            rec, kl = terms(model, x)
            opt.zero_grad()
            (rec + beta * kl).backward()
            opt.step()
        if epoch % 6 == 5:
            model.eval()
            with torch.no_grad():
                out, _, _ = model(test)
                rec, kl = terms(model, test)
            print(f"epoch {epoch + 1}: beta {beta:.1f} rec {rec:.2f} kl {kl:.2f}, explained {1 - ((out - test) ** 2).sum() / ((test - test.mean(0)) ** 2).sum():.3f}")


if __name__ == "__main__":
    main()
