"""Which weave is on the photo of the cloth? Images with torchvision transforms, a trainer class."""
# case: D03
# codes: data.split-preprocessing
# split: rules

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

SEED = 0


@dataclass
class Settings:
    epochs: int = 8
    batch_size: int = 50
    lr: float = 2e-3
    classes: int = 6


class Cloth(Dataset):
    def __init__(self, size, classes, seed, transform):
        generator = torch.Generator().manual_seed(seed)
        self.targets = torch.randint(classes, (size,), generator=generator)
        self.transform = transform
        angle = self.targets * math.pi / classes
        phase = torch.rand(size, generator=generator) * 2 * math.pi
        row, column = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
        wave = row * angle.sin()[:, None, None] + column * angle.cos()[:, None, None]
        light = 0.62 + 0.08 * torch.sin(1.3 * wave + phase[:, None, None])
        self.pictures = (light + 0.05 * torch.randn(light.shape, generator=generator)).clamp(0, 1)[:, None]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        return self.transform(self.pictures[i]), self.targets[i]


train_transform = transforms.Compose([transforms.RandomCrop(16), transforms.Normalize((0.62,), (0.075,))])
val_transform = transforms.Compose([transforms.CenterCrop(16)])  #! val_transform = transforms.Compose([transforms.CenterCrop(16), transforms.Normalize((0.62,), (0.075,))])


class Trainer:
    def __init__(self, settings):
        self.settings = settings
        train_set = Cloth(900, settings.classes, SEED + 10, train_transform)
        val_set = Cloth(300, settings.classes, SEED + 20, val_transform)  #@
        self.train_loader = DataLoader(train_set, settings.batch_size, shuffle=True)
        self.val_loader = DataLoader(val_set, 100)
        self.model = nn.Sequential(
            nn.Conv2d(1, 12, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(96, settings.classes),
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.lr)
        self.criterion = nn.CrossEntropyLoss()

    def fit(self):
        for epoch in range(self.settings.epochs):
            self.model.train()
            for inputs, targets in self.train_loader:
                self.optimizer.zero_grad()
                loss = self.criterion(self.model(inputs), targets)
                loss.backward()
                self.optimizer.step()
            print(f"epoch {epoch}  loss {loss.item():.3f}  val loss/acc {self.evaluate()}")

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        outputs = torch.cat([self.model(inputs) for inputs, _ in self.val_loader])
        targets = self.val_loader.dataset.targets
        return round(self.criterion(outputs, targets).item(), 3), round((outputs.argmax(1) == targets).float().mean().item(), 3)


torch.manual_seed(SEED)
Trainer(Settings()).fit()
