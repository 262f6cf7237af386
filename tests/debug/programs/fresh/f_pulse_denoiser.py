"""Denoise pulses in two stages; the first stage's coefficients are thresholded before the second rebuilds the signal."""
# case: O08
# codes: step.graph-cut
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def pulses(n):
    t = np.arange(48)
    clean = np.zeros((n, 48))
    for i in range(n):
        for _ in range(rng.integers(1, 4)):
            clean[i] += rng.uniform(0.8, 2) * np.exp(-np.abs(t - rng.uniform(4, 44)) / rng.uniform(1.0, 2.0))
    return torch.tensor(clean + rng.normal(0, 0.35, clean.shape), dtype=torch.float32), torch.tensor(clean, dtype=torch.float32)


class Shrink(nn.Module):
    """Soft thresholding with a fixed fraction of the largest coefficient."""

    def forward(self, c):
        level = 0.05 * np.abs(c.detach().numpy()).max(1, keepdims=True)
        small = np.sign(c.detach().numpy()) * np.maximum(np.abs(c.detach().numpy()) - level, 0)  #! small = torch.sign(c) * torch.relu(c.abs() - torch.from_numpy(level))
        return torch.as_tensor(small)  #@


class Denoiser(nn.Module):
    def __init__(self, coefficients=12):
        super().__init__()
        self.analyse = nn.Sequential(nn.Linear(48, 96), nn.ReLU(), nn.Linear(96, coefficients))
        self.shrink = Shrink()
        self.rebuild = nn.Sequential(nn.Linear(coefficients, 96), nn.ReLU(), nn.Linear(96, 48))

    def forward(self, x):
        return self.rebuild(self.shrink(self.analyse(x)))


noisy, clean = pulses(2000)
noisy_v, clean_v = pulses(300)
net = Denoiser()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, 26):
    tot = 0.0
    for k in torch.randperm(2000).split(50):
        loss = (net(noisy[k]) - clean[k]).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 40
    if epoch % 5 == 0:
        with torch.no_grad():
            v = (net(noisy_v) - clean_v).square().mean().item()
        print(f"epoch {epoch}: train {tot:.4f} valid {v:.4f}")
