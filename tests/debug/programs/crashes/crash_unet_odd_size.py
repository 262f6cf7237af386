"""Cell segmentation with an encoder-decoder on 30x30 patches."""
# case: crash
# codes: shape.mismatch
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)


class ConvBlock(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


class SegNet(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.d1, self.d2, self.d3 = ConvBlock(1, c), ConvBlock(c, 2 * c), ConvBlock(2 * c, 4 * c)
        self.u2, self.u1 = ConvBlock(6 * c, 2 * c), ConvBlock(3 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        s1 = self.d1(x)
        s2 = self.d2(F.max_pool2d(s1, 2))
        h = self.d3(F.max_pool2d(s2, 2))
        h = F.interpolate(h, scale_factor=2, mode="nearest")  #! h = F.interpolate(h, size=s2.shape[-2:], mode="nearest")
        h = self.u2(torch.cat([h, s2], dim=1))  #@
        h = F.interpolate(h, size=s1.shape[-2:], mode="nearest")
        return self.out(self.u1(torch.cat([h, s1], dim=1)))


def cells(n, size=30):
    grid = torch.arange(size).float()
    centres = 4 + 22 * torch.rand(n, 3, 2)
    d2 = (grid[:, None] - centres[..., 0, None, None]) ** 2 + (grid - centres[..., 1, None, None]) ** 2
    mask = (d2.amin(1) < 12).float().unsqueeze(1)
    return mask + 0.6 * torch.randn(n, 1, size, size), mask


def iou(logits, mask):
    guess = logits > 0
    truth = mask > 0.5
    return ((guess & truth).sum() / (guess | truth).sum()).item()


images, masks = cells(400)
val_images, val_masks = cells(80)
model = SegNet()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(4):
    model.train()
    for idx in torch.randperm(len(images)).split(20):
        loss = F.binary_cross_entropy_with_logits(model(images[idx]), masks[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(f"epoch {epoch} loss {loss.item():.3f} val IoU {iou(model(val_images), val_masks):.3f}")
