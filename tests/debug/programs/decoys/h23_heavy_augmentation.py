"""Digits with strong augmentation and dropout, so that training accuracy stays below validation accuracy."""
# case: H23
# codes: none
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset

SEED = 0


class DigitImages(Dataset):
    def __init__(self, images, targets, augment):
        self.images = torch.tensor(images, dtype=torch.float32).unsqueeze(1) / 16.0
        self.targets = torch.tensor(targets)
        self.augment = augment

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image = self.images[index]
        if self.augment:
            padded = F.pad(image, (1, 1, 1, 1))
            top, left = torch.randint(0, 3, (2,)).tolist()
            image = padded[:, top : top + 8, left : left + 8].clone()
            r, c = torch.randint(0, 7, (2,)).tolist()
            image[:, r : r + 2, c : c + 2] = 0.0  # cutout
            image = image + 0.1 * torch.randn_like(image)
        return (image - 0.3) / 0.37, self.targets[index]


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, 48, 3, padding=1)
        self.drop = nn.Dropout2d(0.1)
        self.fc1 = nn.Linear(48 * 4, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = self.drop(F.max_pool2d(F.relu(self.conv2(x)), 2))
        x = F.dropout(F.relu(self.fc1(x.flatten(1))), 0.4, training=self.training)
        return self.fc2(x)


torch.manual_seed(SEED)
bunch = load_digits()
split = train_test_split(bunch.images, bunch.target, test_size=0.25, stratify=bunch.target, random_state=SEED)
train_loader = DataLoader(DigitImages(split[0], split[2], augment=True), batch_size=64, shuffle=True)
val_loader = DataLoader(DigitImages(split[1], split[3], augment=False), batch_size=225)
model = ConvNet()
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, epochs=12, steps_per_epoch=len(train_loader))

for epoch in range(12):
    model.train()
    hits, losses = 0, []
    for x, y in train_loader:
        out = model(x)
        loss = F.cross_entropy(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        hits += (out.argmax(1) == y).sum().item()
    model.eval()
    with torch.no_grad():
        val_hits = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader)
    print(
        f"epoch {epoch:2d} loss {sum(losses) / len(losses):.3f} "
        f"train acc {hits / len(split[2]):.3f} val acc {val_hits / len(split[3]):.3f}"
    )
