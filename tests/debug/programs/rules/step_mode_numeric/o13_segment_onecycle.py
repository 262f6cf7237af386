"""Segment noisy discs with a small encoder-decoder, bfloat16 autocast and a one-cycle schedule."""
# case: O13
# codes: step.schedule-mistimed, step.learning-rate-too-low
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0
EPOCHS = 10
MAX_LR = 1e-2


def conv(cin, cout, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, stride, 1), nn.GroupNorm(4, cout), nn.SiLU())


class TinyUNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.enter = conv(1, width)
        self.down = conv(width, 2 * width, stride=2)
        self.middle = conv(2 * width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge = conv(2 * width, width)
        self.predict = nn.Conv2d(width, 1, 1)

    def forward(self, image):
        skip = self.enter(image)
        deep = self.middle(self.down(skip))
        return self.predict(self.merge(torch.cat([self.up(deep), skip], dim=1)))


def discs(n, size=20):
    yy, xx = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    cy, cx = torch.rand(2, n, 1, 1) * (size - 8) + 4
    radius = 2.5 + 3 * torch.rand(n, 1, 1)
    mask = ((yy - cy) ** 2 + (xx - cx) ** 2 < radius**2).float()
    image = 1.5 * mask - 0.3 + 0.8 * torch.randn(n, size, size)
    return TensorDataset(image[:, None], mask[:, None])


def dice(logits, mask):
    hard = (logits > 0).float()
    return (2 * (hard * mask).sum() + 1) / (hard.sum() + mask.sum() + 1)


torch.manual_seed(SEED)
train_set, val_set = random_split(discs(600), [480, 120])
train_loader = DataLoader(train_set, batch_size=40, shuffle=True)
val_loader = DataLoader(val_set, batch_size=120)
model = TinyUNet()
optimizer = torch.optim.AdamW(model.parameters())
scheduler = OneCycleLR(optimizer, max_lr=MAX_LR, total_steps=EPOCHS * len(train_loader), div_factor=100)  #@

for epoch in range(EPOCHS):
    model.train()
    for image, mask in train_loader:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(image)
        loss = F.binary_cross_entropy_with_logits(logits.float(), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        #+ scheduler.step()
    scheduler.step()  #!
    model.eval()
    with torch.no_grad():
        image, mask = next(iter(val_loader))
        logits = model(image)
    print(f"epoch {epoch + 1:2d} loss {loss.item():.4f} val loss {F.binary_cross_entropy_with_logits(logits, mask):.4f} "
          f"dice {dice(logits, mask):.3f}")
