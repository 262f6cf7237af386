"""A coordinate network that stores one picture: (row, column) in, colour out."""
# case: H27
# codes: none
# split: rules

import math

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def picture(size=40):
    """A sunset: sky gradient, a disc, and waves."""
    row, col = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    sky = torch.stack([0.9 - 0.3 * row, 0.4 + 0.2 * row, 0.3 + 0.4 * row], dim=-1)
    disc = ((row + 0.1) ** 2 + (col - 0.2) ** 2 < 0.15).float()[..., None] * torch.tensor([0.1, 0.5, -0.1])
    waves = (row > 0.4).float()[..., None] * 0.2 * torch.sin(20 * row + 8 * torch.sin(3 * col))[..., None]
    return torch.stack([row, col], dim=-1).view(-1, 2), (sky + disc + waves).clamp(0, 1).view(-1, 3)


class FourierFeatures(nn.Module):
    def __init__(self, n=64, scale=1.5):
        super().__init__()
        self.register_buffer("freq", scale * torch.randn(2, n))

    def forward(self, xy):
        phase = 2 * math.pi * xy @ self.freq
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


def psnr(a, b):
    return -10 * math.log10((a - b).square().mean().item())


coords, colours = picture()
field = nn.Sequential(
    FourierFeatures(), nn.Linear(128, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 3), nn.Sigmoid()
)
optimizer = torch.optim.Adam(field.parameters(), lr=4e-3)
print(f"{len(coords)} pixels; mean colour gives {psnr(colours.mean(0).expand_as(colours), colours):.1f} dB")
for step in range(1, 301):
    loss = (field(coords) - colours).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 60 == 0:
        with torch.no_grad():
            print(f"step {step}: loss {loss.item():.5f}, reconstruction {psnr(field(coords), colours):.1f} dB")
