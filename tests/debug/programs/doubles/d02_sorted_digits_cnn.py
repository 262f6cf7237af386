"""Digit classifier with batch normalisation and dropout; the images come ordered by class from a folder-like index."""
# case: double
# codes: data.not-shuffled
# also: mode.evaluating-in-train
# split: held-out

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Folder(Dataset):
    """Images listed class by class, as a directory listing would give them."""

    def __init__(self, images, labels):
        order = np.argsort(labels, kind="stable")
        self.images = torch.tensor(images[order], dtype=torch.float32).unsqueeze(1) / 16
        self.labels = torch.tensor(labels[order])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return (self.images[index] - 0.305) / 0.376, self.labels[index]


class SmallNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.25), nn.Linear(128, 10),
        )


def validate(model, loader):
    #+ model.eval()
    correct = 0
    with torch.no_grad():  #@
        for images, labels in loader:
            correct += (model(images.to(device)).argmax(1) == labels.to(device)).sum().item()  #@
    return correct / len(loader.dataset)


torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)
digits = load_digits()
pick = rng.permutation(len(digits.target))
train_set = Folder(digits.images[pick[:1400]], digits.target[pick[:1400]])
val_set = Folder(digits.images[pick[1400:]], digits.target[pick[1400:]])
train_loader = DataLoader(train_set, batch_size=28)  #! train_loader = DataLoader(train_set, batch_size=28, shuffle=True)
val_loader = DataLoader(val_set, batch_size=64)
model = SmallNet().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
criterion = nn.CrossEntropyLoss()
for epoch in range(5):
    model.train()
    total = 0.0
    for images, labels in train_loader:
        loss = criterion(model(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch}: loss {total / len(train_loader):.4f} validation accuracy {validate(model, val_loader):.3f}")
