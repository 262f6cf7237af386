"""Small BatchNorm CNN on synthetic colour images, with random flips and crops in the training data set."""
# case: healthy
# codes: none
# split: rules

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

SEED = 0
CLASSES = 5
COLOURS = np.array([[210, 60, 60], [60, 200, 70], [70, 80, 220], [200, 200, 60], [180, 70, 190]])


def paint(n, seed):
    """uint8 HWC images with one soft disc whose colour (with jitter) tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    images = rng.normal(110, 40, (n, 20, 20, 3))
    rows, cols = np.mgrid[0:20, 0:20]
    for image, label in zip(images, labels, strict=True):
        r, c = rng.uniform(5, 15, 2)
        disc = np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 12)[..., None]
        image += disc * (COLOURS[label] + rng.normal(0, 30, 3) - 110)
    return images.clip(0, 255).astype(np.uint8), labels


class DiscImages(Dataset):
    def __init__(self, images, labels, transform):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.images[index]), int(self.labels[index])


def conv_block(n_in, n_out):
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2))


def main():
    torch.manual_seed(SEED)
    train_images, train_labels = paint(1500, SEED)
    val_images, val_labels = paint(400, SEED + 999)
    mean = (train_images / 255).mean((0, 1, 2)).tolist()
    std = (train_images / 255).std((0, 1, 2)).tolist()
    to_tensor = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    augment = [transforms.RandomHorizontalFlip(), transforms.RandomCrop(20, padding=2)]
    train_set = DiscImages(train_images, train_labels, transforms.Compose(to_tensor + augment))
    val_set = DiscImages(val_images, val_labels, transforms.Compose(to_tensor))
    train_loader = DataLoader(train_set, batch_size=50, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=200)

    model = nn.Sequential(conv_block(3, 16), conv_block(16, 32), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(6):
        model.train()
        running = 0.0
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in val_loader:
                correct += (model(images).argmax(1) == labels).sum().item()
        print(f"epoch {epoch + 1}: train loss {running / len(train_loader):.3f}, val accuracy {correct / len(val_set):.3f}")


if __name__ == "__main__":
    main()
