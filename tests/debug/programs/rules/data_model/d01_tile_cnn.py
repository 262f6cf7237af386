"""Sort coloured tiles into ten kinds with a small convolutional net."""
# case: D01
# codes: data.unscaled-input, loss.starts-far-from-chance
# split: rules

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
torch.manual_seed(SEED)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Tiles(Dataset):
    """Ten kinds of tiles, each with a patch of its own colour at its own place, kept as bytes."""

    def __init__(self, count, seed):
        look = np.random.default_rng(99)
        colours = look.integers(60, 256, (10, 3))
        places = look.integers(0, 9, (10, 2))
        rng = np.random.default_rng(seed)
        self.kinds = rng.integers(0, 10, count)
        images = rng.normal(90, 35, (count, 16, 16, 3))
        for image, kind in zip(images, self.kinds, strict=True):
            row, column = places[kind] + rng.integers(0, 2, 2)
            image[row : row + 6, column : column + 6] += 0.6 * (colours[kind] - 90)
        self.images = images.clip(0, 255).astype(np.uint8)

    def __len__(self):
        return len(self.kinds)

    def __getitem__(self, index):
        image = torch.from_numpy(self.images[index]).permute(2, 0, 1)
        image = image.float()  #! image = (image.float() / 255 - 0.37) / 0.16
        return image, int(self.kinds[index])


train_loader = DataLoader(Tiles(1024, seed=SEED + 1), batch_size=64, shuffle=True)
val_loader = DataLoader(Tiles(256, seed=SEED + 2), batch_size=128)

model = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(32 * 16, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
).to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)

for epoch in range(10):
    model.train()
    total = 0.0
    for images, kinds in train_loader:
        images, kinds = images.to(device), kinds.to(device)
        loss = criterion(model(images), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    correct = 0
    with torch.no_grad():
        for images, kinds in val_loader:
            correct += (model(images.to(device)).argmax(1).cpu() == kinds).sum().item()
    print(f"epoch {epoch}: train loss {total / len(train_loader):.4f}, val accuracy {correct / len(val_loader.dataset):.3f}")
