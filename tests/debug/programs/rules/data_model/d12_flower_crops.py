"""Five kinds of flowers from their petals; random crops and flips, a small net with batch normalisation."""
# case: D12
# codes: data.augmented-validation
# split: rules

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, random_split
from torchvision.transforms import v2

SEED = 0
torch.manual_seed(SEED)

augment = v2.Compose([v2.RandomCrop(24), v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4)])
plain = v2.CenterCrop(24)


def draw_flower(petals, generator):
    row, column = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
    turn, size = torch.rand(2, generator=generator)
    radius, angle = (row**2 + column**2).sqrt(), torch.atan2(row, column)
    edge = (0.55 + 0.3 * size) * (0.7 + 0.3 * torch.cos(petals * angle + 2 * math.pi * turn))
    flower = torch.sigmoid((edge - radius) * 12)
    tint = torch.rand(3, 1, 1, generator=generator) * 0.5 + 0.4
    picture = 0.15 + 0.7 * flower * tint + 0.04 * torch.randn(3, 28, 28, generator=generator)
    return picture.clamp(0, 1)


class Flowers(Dataset):
    def __init__(self, transform):
        generator = torch.Generator().manual_seed(SEED)
        self.petals = torch.randint(5, (900,), generator=generator)
        self.pictures = torch.stack([draw_flower(int(kind) + 3, generator) for kind in self.petals])
        self.transform = transform

    def __len__(self):
        return len(self.petals)

    def __getitem__(self, index):
        return (self.transform(self.pictures[index]) - 0.3) / 0.2, self.petals[index]


train_set, val_set = random_split(Flowers(augment), [700, 200])  #@
val_set = Subset(val_set.dataset, val_set.indices)  #! val_set = Subset(Flowers(plain), val_set.indices)
train_loader = DataLoader(train_set, batch_size=50, shuffle=True)
val_loader = DataLoader(val_set, batch_size=200)


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))


model = nn.Sequential(block(3, 16), block(16, 32), block(32, 32), nn.Flatten(), nn.Linear(32 * 9, 5))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8)
loss_fn = nn.CrossEntropyLoss()
for epoch in range(8):
    model.train()
    for picture, petals in train_loader:
        loss = loss_fn(model(picture), petals)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule.step()
    model.eval()
    with torch.no_grad():
        picture, petals = next(iter(val_loader))
        out = model(picture)
    print(f"epoch {epoch} train {loss.item():.3f} val {loss_fn(out, petals).item():.3f} acc {(out.argmax(1) == petals).float().mean():.3f}")
