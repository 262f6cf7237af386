"""Segment round cells in grey microscope crops; a small encoder-decoder with one skip connection."""
# case: D04
# codes: data.normalised-twice, data.unscaled-input
# split: rules

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

SEED = 0
MEAN, STD = 0.43, 0.19
random.seed(SEED), np.random.seed(SEED), torch.manual_seed(SEED)


def draw_cells(count):
    y, x = np.mgrid[:24, :24]
    images, masks = [], []
    for _ in range(count):
        mask = np.zeros((24, 24), bool)
        for _ in range(np.random.randint(1, 4)):
            cy, cx, r = np.random.uniform(4, 20), np.random.uniform(4, 20), np.random.uniform(2.5, 5)
            mask |= (y - cy) ** 2 + (x - cx) ** 2 < r**2
        image = np.where(mask, 170, 80) + np.random.normal(0, 25, mask.shape)
        images.append(image.clip(0, 255).astype(np.uint8))
        masks.append(mask.astype(np.float32))
    return images, masks


class Normalize:
    def __init__(self, mean, std, max_pixel=255.0):
        self.mean, self.std, self.max_pixel = mean, std, max_pixel

    def __call__(self, image):
        return (image - self.mean * self.max_pixel) / (self.std * self.max_pixel)


class CellDataset(Dataset):
    def __init__(self, images, masks, transform):
        self.images, self.masks, self.transform = images, masks, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, idx):
        image = self.images[idx].astype(np.float32) / 255.0  #! image = self.images[idx].astype(np.float32)
        image = self.transform(image)  #@
        return torch.from_numpy(image)[None], torch.from_numpy(self.masks[idx])[None]


class MiniUNet(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.enc = nn.Conv2d(1, width, 3, padding=1)
        self.mid = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.dec = nn.Conv2d(2 * width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        skip = F.relu(self.enc(x))
        deep = F.relu(self.mid(F.max_pool2d(skip, 2)))
        return self.out(F.relu(self.dec(torch.cat([skip, self.up(deep)], 1))))


normalize = Normalize(MEAN, STD)
train_dl = DataLoader(CellDataset(*draw_cells(320), normalize), batch_size=16, shuffle=True)
valid_dl = DataLoader(CellDataset(*draw_cells(80), normalize), batch_size=40)
net = MiniUNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
for epoch in range(7):
    net.train()
    running = 0.0
    for image, mask in train_dl:
        loss = F.binary_cross_entropy_with_logits(net(image), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
    scheduler.step()
    net.eval()
    inter = union = 0
    with torch.no_grad():
        for image, mask in valid_dl:
            pred, real = net(image) > 0, mask > 0.5
            inter, union = inter + (pred & real).sum().item(), union + (pred | real).sum().item()
    print(f"epoch {epoch} train {running / len(train_dl):.4f} val IoU {inter / union:.3f}")
