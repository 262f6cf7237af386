"""Digits in a folder-like order, a residual convolutional net trained with SGD."""
# case: D09
# codes: data.not-shuffled
# split: rules

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
torch.manual_seed(SEED)


class DigitFolders(Dataset):
    """Ten folders of digits; the first part of every folder is for training, the rest for validation."""

    def __init__(self, part):
        digits = load_digits()
        self.samples = []
        for digit in range(10):
            images = torch.tensor(digits.images[digits.target == digit], dtype=torch.float32)
            cut = int(0.8 * len(images))
            images = images[:cut] if part == "train" else images[cut:]
            self.samples += [(image[None], digit) for image in images]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        image, digit = self.samples[index]
        return (image - 4.9) / 6.0, digit


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(4, channels), nn.GroupNorm(4, channels)

    def forward(self, x):
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class DigitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 24, 3, padding=1)
        self.blocks = nn.Sequential(Residual(24), nn.MaxPool2d(2), Residual(24))
        self.head = nn.Linear(24 * 16, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).flatten(1))


def make_loaders(batch_size=32):
    train, val = DigitFolders("train"), DigitFolders("val")
    return (
        DataLoader(train, batch_size=batch_size),  #! DataLoader(train, batch_size=batch_size, shuffle=True),
        DataLoader(val, batch_size=128),
    )


def evaluate(net, loader):
    net.eval()
    loss = hits = count = 0
    with torch.no_grad():
        for x, y in loader:
            out = net(x)
            loss += F.cross_entropy(out, y, reduction="sum").item()
            hits += (out.argmax(1) == y).sum().item()
            count += len(y)
    return loss / count, hits / count


train_loader, val_loader = make_loaders()
net = DigitNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.006, momentum=0.9, nesterov=True)
step = 0
for epoch in range(1, 5):
    net.train()
    for x, y in train_loader:
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 15 == 0:
            print(f"  step {step} loss {loss.item():.3f}")
    val_loss, val_acc = evaluate(net, val_loader)
    print(f"epoch {epoch}: val loss {val_loss:.3f}, val acc {val_acc:.3f}")
