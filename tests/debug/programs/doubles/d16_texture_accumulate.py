"""Texture classification; images are normalised on the way in and gradients of six small batches make one step."""
# case: double
# codes: data.split-preprocessing
# also: step.accumulation-unscaled
# split: held-out

import math

import torch
import torch.nn.functional as F
import torchvision.transforms.v2 as T
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
EVERY = 6


class Textures(Dataset):
    """Gratings of four orientations with random phase, stored as bytes."""

    def __init__(self, n, transform):
        self.transform = transform
        ys, xs = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
        self.labels = torch.randint(4, (n,))
        angle = (self.labels * math.pi / 4 + 0.1 * torch.randn(n)).view(-1, 1, 1)
        wave = torch.sin(1.1 * (xs * angle.cos() + ys * angle.sin()) + 6.28 * torch.rand(n, 1, 1))
        grey = 150 + 40 * wave + 30 * torch.randn(n, 16, 16)
        self.bytes = grey.clamp(0, 255).to(torch.uint8).unsqueeze(1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.transform(self.bytes[i]), self.labels[i]


def pipeline(train):
    steps = [T.ToDtype(torch.float32, scale=True), T.Normalize([0.588], [0.16])]
    if train:
        steps.insert(0, T.RandomCrop(16, padding=1, padding_mode="reflect"))
    return T.Compose(steps)


class Filters(nn.Module):
    def __init__(self):
        super().__init__()
        self.bank = nn.Conv2d(1, 16, 5, stride=2)
        self.mix = nn.Conv2d(16, 32, 3)
        self.decide = nn.Linear(32, 4)

    def forward(self, x):
        x = F.relu(self.mix(F.relu(self.bank(x))))
        return self.decide(x.mean((2, 3)))


def accuracy(net, loader):
    net.eval()
    with torch.inference_mode():
        right = sum((net(x).argmax(1) == y).sum().item() for x, y in loader)
    net.train()
    return right / len(loader.dataset)


torch.manual_seed(SEED)
train_loader = DataLoader(Textures(960, pipeline(train=True)), batch_size=8, shuffle=True, drop_last=True)
val_transform = T.ToDtype(torch.float32, scale=True)  #! val_transform = pipeline(train=False)
val_loader = DataLoader(Textures(240, val_transform), batch_size=60)  #@
net = Filters()
optimizer = torch.optim.SGD(net.parameters(), lr=0.04, momentum=0.9)
for epoch in range(8):
    optimizer.zero_grad()
    total = 0.0
    for i, (x, y) in enumerate(train_loader, 1):
        loss = F.cross_entropy(net(x), y)
        loss.backward()  #! (loss / EVERY).backward()
        total += loss.item()
        if i % EVERY == 0:
            optimizer.step()  #@
            optimizer.zero_grad()
    print(f"epoch {epoch + 1}: loss {total / len(train_loader):.4f}, validation {accuracy(net, val_loader):.3f}")
