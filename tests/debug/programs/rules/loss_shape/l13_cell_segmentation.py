"""Segment round cells in noisy grey images with a small encoder-decoder."""
# case: L13
# codes: loss.target-domain
# split: rules

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

SEED = 0
SIDE = 32


class Cells(Dataset):
    """Grey images and their masks, both kept as bytes as they would be in PNG files."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        yy, xx = np.mgrid[:SIDE, :SIDE]
        self.images = np.empty((count, SIDE, SIDE), np.uint8)
        self.masks = np.zeros((count, SIDE, SIDE), np.uint8)
        for image, mask in zip(self.images, self.masks, strict=True):
            for _ in range(rng.integers(1, 4)):
                cy, cx = rng.integers(5, SIDE - 5, 2)
                mask[(yy - cy) ** 2 + (xx - cx) ** 2 < rng.integers(3, 7) ** 2] = 255
            image[:] = np.clip(70 + 90 * (mask > 0) + rng.normal(0, 30, mask.shape), 0, 255)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = torch.from_numpy(self.images[index]).float().unsqueeze(0) / 127.5 - 1
        mask = torch.from_numpy(self.masks[index]).float().unsqueeze(0)  #! mask = torch.from_numpy(self.masks[index]).float().unsqueeze(0) / 255
        return image, mask


def conv(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


class MiniUNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.enc1, self.enc2 = conv(1, width), conv(width, 2 * width)
        self.mid = conv(2 * width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.dec = conv(2 * width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        fine = self.enc1(x)
        coarse = self.mid(self.enc2(F.max_pool2d(fine, 2)))
        return self.out(self.dec(torch.cat([fine, self.up(coarse)], dim=1)))


def iou(logits, mask):
    guess, truth = logits > 0, mask > 0
    return ((guess & truth).sum() / (guess | truth).sum().clamp(min=1)).item()


def main():
    torch.manual_seed(SEED)
    train = DataLoader(Cells(320, SEED), batch_size=16, shuffle=True)
    val = DataLoader(Cells(64, SEED + 1000), batch_size=64)
    net = MiniUNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(5):
        net.train()
        for image, mask in train:
            loss = F.binary_cross_entropy_with_logits(net(image), mask)  #@
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            score = np.mean([iou(net(image), mask) for image, mask in val])
        print(f"epoch {epoch}: loss {loss.item():.4f}, validation IoU {score:.3f}")


if __name__ == "__main__":
    main()
