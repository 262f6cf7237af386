"""Classify stripe textures by direction and width with a CNN and global average pooling."""
# case: S07
# codes: shape.samples-mixed, model.ignores-input
# split: rules

import math

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
SIDE = 20


def textures(count):
    """Stripes in three directions and two widths, with random phase, contrast and noise."""
    label = torch.randint(6, (count,))
    angle = (label % 3) * math.pi / 3 + 0.1 * torch.randn(count)
    rate = torch.where(label < 3, 0.12, 0.24)
    i, j = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    along = torch.cos(angle)[:, None, None] * i + torch.sin(angle)[:, None, None] * j
    phase = torch.rand(count, 1, 1)
    contrast = 0.7 + 0.6 * torch.rand(count, 1, 1)
    image = contrast * torch.sin(2 * math.pi * (rate[:, None, None] * along + phase))
    return (image + 0.4 * torch.randn_like(image)).unsqueeze(1), label


class ResidualConv(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(4, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return F.relu(x + self.conv2(F.relu(self.norm(self.conv1(x)))))


class TextureNet(nn.Module):
    def __init__(self, channels=24):
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 5, stride=2, padding=2)
        self.block = ResidualConv(channels)
        self.fc = nn.Linear(channels, 6)

    def forward(self, x):
        maps = self.block(F.relu(self.stem(x)))
        pooled = maps.mean(dim=(0, 2, 3)).expand(len(x), -1)  #! pooled = maps.mean(dim=(2, 3))
        return self.fc(pooled)


torch.manual_seed(SEED)
x_train, y_train = textures(1200)
x_val, y_val = textures(400)
net = TextureNet()
optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=240)
step = 0
while step < 240:
    for rows in torch.randperm(1200).split(30):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(net(x_train[rows]).float(), y_train[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        step += 1
        if step % 40 == 0:
            with torch.no_grad():
                acc = (net(x_val).argmax(1) == y_val).float().mean().item()
            print(f"step {step} lr {scheduler.get_last_lr()[0]:.5f} loss {loss.item():.4f} val acc {acc:.3f}")
