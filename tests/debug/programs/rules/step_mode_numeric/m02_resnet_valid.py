"""A small residual network on coloured blobs stored as uint8 images."""
# case: M02
# codes: mode.evaluating-in-train
# split: rules

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

SEED = 0


class Blobs(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 6, n)
        self.images = rng.normal(110, 45, (n, 12, 12, 3))
        for image, label in zip(self.images, self.labels):
            row, col = 1 + 3 * (label % 3) + rng.integers(0, 3), 2 + 4 * (label // 3) + rng.integers(0, 3)
            image[row : row + 3, col : col + 3, label % 3] += 80
        self.images = self.images.clip(0, 255).astype(np.uint8)
        self.transform = v2.Compose([
            v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.43] * 3, [0.18] * 3),
        ])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.transform(self.images[i]), int(self.labels[i])


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.shortcut = nn.Identity() if stride == 1 and cin == cout else nn.Conv2d(cin, cout, 1, stride, bias=False)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, width=12, classes=6):
        super().__init__()
        self.blocks = nn.Sequential(BasicBlock(3, width), BasicBlock(width, 2 * width, 2))
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(2 * width * 36, classes)

    def forward(self, x):
        return self.fc(self.drop(self.blocks(x).flatten(1)))


torch.manual_seed(SEED)
train_loader = DataLoader(Blobs(800, SEED), batch_size=50, shuffle=True, drop_last=True)
val_loader = DataLoader(Blobs(300, SEED + 100), batch_size=50)
net = ResNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)

for epoch in range(4):
    net.train()  #@
    train_loss = 0.0
    for images, labels in train_loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        train_loss += loss.item() / len(train_loader)
    #+ net.eval()
    val_loss, hits = 0.0, 0
    with torch.no_grad():  #@
        for images, labels in val_loader:
            logits = net(images)  #@
            val_loss += F.cross_entropy(logits, labels).item() / len(val_loader)
            hits += (logits.argmax(1) == labels).sum().item()
    print(f"Epoch {epoch}: train loss {train_loss:.4f}, val loss {val_loss:.4f}, val acc {hits / 300:.3f}")
