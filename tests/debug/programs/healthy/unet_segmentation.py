"""Binary segmentation of ellipses with a small U-Net, BCE plus soft Dice."""
# case: healthy
# codes: none
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ellipses(n, size=32):
    axis = torch.arange(size, dtype=torch.float32)
    rows, cols = axis[:, None], axis[None, :]
    centre = 8 + 16 * torch.rand(n, 2, 1, 1)
    radius = 4 + 5 * torch.rand(n, 2, 1, 1)
    masks = (((rows - centre[:, 0]) / radius[:, 0]) ** 2 + ((cols - centre[:, 1]) / radius[:, 1]) ** 2 < 1).float()
    tilt = 0.5 * (rows / size - 0.5) * torch.randn(n, 1, 1)
    return (0.8 * masks + tilt + 0.5 * torch.randn(n, size, size)).unsqueeze(1), masks.unsqueeze(1)


def double_conv(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1), nn.GroupNorm(4, n_out), nn.ReLU(),
        nn.Conv2d(n_out, n_out, 3, padding=1), nn.GroupNorm(4, n_out), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self, base=8):
        super().__init__()
        self.enc1, self.enc2, self.mid = double_conv(1, base), double_conv(base, 2 * base), double_conv(2 * base, 4 * base)
        self.up2 = nn.ConvTranspose2d(4 * base, 2 * base, 2, stride=2)
        self.dec2 = double_conv(4 * base, 2 * base)
        self.up1 = nn.ConvTranspose2d(2 * base, base, 2, stride=2)
        self.dec1 = double_conv(2 * base, base)
        self.final = nn.Conv2d(base, 1, 1)

    def forward(self, x):
        e1 = self.enc1(x)
        e2 = self.enc2(F.max_pool2d(e1, 2))
        m = self.mid(F.max_pool2d(e2, 2))
        d2 = self.dec2(torch.cat([self.up2(m), e2], dim=1))
        d1 = self.dec1(torch.cat([self.up1(d2), e1], dim=1))
        return self.final(d1)


def dice(prob, mask):
    overlap = (prob * mask).sum((1, 2, 3))
    return (2 * overlap + 1) / (prob.sum((1, 2, 3)) + mask.sum((1, 2, 3)) + 1)


train_loader = DataLoader(TensorDataset(*ellipses(480)), batch_size=24, shuffle=True)
val_loader = DataLoader(TensorDataset(*ellipses(120)), batch_size=60)
net = UNet().to(device)
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)

for epoch in range(5):
    net.train()
    for image, mask in train_loader:
        image, mask = image.to(device), mask.to(device)
        logits = net(image)
        loss = F.binary_cross_entropy_with_logits(logits, mask) + 1 - dice(logits.sigmoid(), mask).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        scores = torch.cat([dice((net(i.to(device)) > 0).float(), m.to(device)) for i, m in val_loader])
    print(f"epoch {epoch} loss {loss.item():.3f} validation dice {scores.mean().item():.3f}")
