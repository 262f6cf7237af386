"""Spectrometer calibration from few samples; a layer of our own adds noise to the inputs while training."""
# case: M07
# codes: mode.sticky
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class InputNoise(nn.Module):
    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def forward(self, x):
        if not self.training:
            self.sigma = 0.0  #!
            return x
        return x + self.sigma * torch.randn_like(x)  #@


def spectra(n, noise):
    conc = torch.rand(n, 3) * 2
    wave = torch.linspace(0, 1, 60)
    peaks = torch.stack([torch.exp(-(((wave - m) / 0.06) ** 2)) for m in (0.25, 0.45, 0.7)])
    s = conc @ peaks + 0.3 * torch.randn(n, 1) + noise * torch.randn(n, 60)
    return s, conc


x, c = spectra(60, 0.05)  # in the laboratory
xv, cv = spectra(400, 0.35)  # in the field
net = nn.Sequential(InputNoise(0.35), nn.Linear(60, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 3))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(1, 151):
    net.train()
    for i in torch.randperm(60).split(15):
        loss = nn.functional.mse_loss(net(x[i]), c[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        val = nn.functional.mse_loss(net(xv), cv).item()
    if epoch % 25 == 0:
        print(f"epoch {epoch:3d}: train {loss.item():.4f}, validation {val:.4f}")
