"""Find object centres: a fully convolutional net predicts one heat map for each of two kinds of objects."""
# case: G04
# codes: model.dead-units
# split: rules

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
SIZE = 16


class Scenes(Dataset):
    """Squares and crosses on a noisy ground; the target marks their centres."""

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.images = 0.2 * torch.randn(count, 1, SIZE, SIZE, generator=generator)
        self.maps = torch.zeros(count, 2, SIZE, SIZE)
        shapes = torch.zeros(2, 5, 5)
        shapes[0, [0, -1]] = shapes[0, :, [0, -1]] = 1.0
        shapes[1, 2] = shapes[1, :, 2] = 1.0
        for image, heat in zip(self.images, self.maps, strict=True):
            for _ in range(3):
                kind = int(torch.randint(2, (), generator=generator))
                row, column = torch.randint(2, SIZE - 2, (2,), generator=generator).tolist()
                image[0, row - 2 : row + 3, column - 2 : column + 3] += shapes[kind]
                heat[kind, row, column] = 1.0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.maps[index]


class CenterNet(nn.Module):
    def __init__(self, width=16, prior=0.01):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 5, padding=2), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Conv2d(width, 2, 1)
        for layer in self.modules():  #! for layer in [self.head]:
            if isinstance(layer, nn.Conv2d):
                nn.init.constant_(layer.bias, -math.log((1 - prior) / prior))  #@

    def forward(self, image):
        return self.head(self.body(image))


def hit_rate(model, loader):
    """Share of the marked places where the right map is above one half."""
    model.eval()
    found = total = 0
    with torch.no_grad():
        for image, heat in loader:
            found += ((model(image) > 0) & (heat > 0)).sum().item()
            total += heat.sum().item()
    return found / total


torch.manual_seed(SEED)
train_loader = DataLoader(Scenes(480, SEED + 1), batch_size=16, shuffle=True)
val_loader = DataLoader(Scenes(96, SEED + 2), batch_size=48)
model = CenterNet()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for epoch in range(8):
    model.train()
    losses = []
    for image, heat in train_loader:
        loss = nn.functional.binary_cross_entropy_with_logits(model(image), heat)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch} loss {sum(losses) / len(losses):.5f} hit rate {hit_rate(model, val_loader):.3f}")
