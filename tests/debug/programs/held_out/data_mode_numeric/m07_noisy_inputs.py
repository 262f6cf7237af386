"""Detect which substances are in a mixture from its infrared absorption; training adds Gaussian noise to the curve."""
# case: M07
# codes: mode.sticky
# split: held-out

from functools import reduce

import torch
from torch import nn

SEED = 0
WAVES, SUBSTANCES = 120, 6


class GaussianNoise(nn.Module):
    """Adds noise of a given standard deviation while training."""

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def forward(self, x):
        if not self.training:
            self.sigma = 0.0  #! return x
        return x + self.sigma * torch.randn_like(x)  #@

    def extra_repr(self):
        return f"sigma={self.sigma}"


class Spectrometer:
    def __init__(self, generator):
        wave = torch.arange(WAVES).float()
        self.g = generator
        centre = torch.rand(SUBSTANCES, 3, 1, generator=generator) * WAVES
        height = 0.4 + torch.rand(SUBSTANCES, 3, 1, generator=generator)
        self.pure = (height * torch.exp(-((wave - centre) ** 2) / 12)).sum(1)

    def measure(self, count):
        present = (torch.rand(count, SUBSTANCES, generator=self.g) < 0.35).float()
        amount = present * (0.3 + torch.rand(count, SUBSTANCES, generator=self.g))
        curve = amount @ self.pure + 0.18 * torch.randn(count, WAVES, generator=self.g)
        return (curve - 0.2) / 0.4, present


def exact_match(model, curve, present):
    model.eval()
    with torch.no_grad():
        guess = model(curve) > 0
    return (guess == present.bool()).all(1).float().mean().item()


def main():
    torch.manual_seed(SEED)
    device = Spectrometer(torch.Generator().manual_seed(SEED))
    curve, present = device.measure(200)
    curve_test, present_test = device.measure(400)
    stages = [GaussianNoise(0.4), nn.Linear(WAVES, 128), nn.GELU(), GaussianNoise(0.1), nn.Linear(128, SUBSTANCES)]
    model = nn.Sequential(*stages)
    size = reduce(lambda total, p: total + p.numel(), model.parameters(), 0)
    print(model, f"{size} parameters")
    criterion = nn.MultiLabelSoftMarginLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(60):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(curve)).split(20):
            loss = criterion(model(curve[rows]), present[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows) / len(curve)
        if epoch % 6 == 5:
            print(f"epoch {epoch + 1}: train {total:.4f}, all right {exact_match(model, curve_test, present_test):.3f}")


main()
