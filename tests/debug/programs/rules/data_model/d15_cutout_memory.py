"""Digits held in memory, with random squares cut out of the training images."""
# case: D15
# codes: data.mutated-in-place
# split: rules

import random

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset

SEED = 0


class InMemoryDigits(Dataset):
    def __init__(self, images, labels, cutout=0):
        self.images = torch.as_tensor(images, dtype=torch.float32).unsqueeze(1).sub(4.88).div(6.02)
        self.labels = torch.as_tensor(labels)
        self.cutout = cutout

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image, label = self.images[index], self.labels[index]  #! image, label = self.images[index].clone(), self.labels[index]
        if self.cutout:
            top, left = random.randint(0, 8 - self.cutout), random.randint(0, 8 - self.cutout)
            image[:, top : top + self.cutout, left : left + self.cutout] = 0.0  #@
        return image, label


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, image):
        return self.classifier(self.features(image))


def train_epoch(model, loader, optimizer):
    model.train()
    total = 0.0
    for image, label in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(image), label)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(label)
    return total / len(loader.dataset)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return sum((model(image).argmax(1) == label).sum().item() for image, label in loader) / len(loader.dataset)


random.seed(SEED)
torch.manual_seed(SEED)
digits = load_digits()
x_train, x_val, y_train, y_val = train_test_split(digits.images, digits.target, test_size=0.3, random_state=SEED)
train_loader = DataLoader(InMemoryDigits(x_train, y_train, cutout=3), batch_size=64, shuffle=True)
val_loader = DataLoader(InMemoryDigits(x_val, y_val), batch_size=256)
model = Net()
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
for epoch in range(12):
    loss = train_epoch(model, train_loader, optimizer)
    print(f"epoch {epoch + 1:2d} | train loss {loss:.4f} | val accuracy {evaluate(model, val_loader):.4f}")
