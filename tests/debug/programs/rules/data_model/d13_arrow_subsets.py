"""Tell eight arrow-like marks apart, with shifts and noise on the training part only."""
# case: D13
# codes: data.augmentation-lost
# split: rules

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

SEED = 0
CLASSES = 8


def random_view(image):
    """Move the mark by up to three pixels, let the light vary and add a little noise."""
    rows, columns = torch.randint(-3, 4, (2,)).tolist()
    image = image.roll((rows, columns), dims=(1, 2)) * (0.7 + 0.6 * torch.rand(1))
    return image + 0.15 * torch.randn_like(image)


def make_marks(count):
    patterns = torch.randn(CLASSES, 1, 9, 9, generator=torch.Generator().manual_seed(5))
    kinds = torch.randint(CLASSES, (count,))
    images = 0.5 * torch.randn(count, 1, 18, 18)
    for image, kind in zip(images, kinds, strict=True):
        row, column = torch.randint(0, 10, (2,)).tolist()
        image[:, row : row + 9, column : column + 9] += 1.2 * patterns[kind]
    return images, kinds


class Marks(Dataset):
    def __init__(self, images, kinds, transform=None):
        self.images, self.kinds, self.transform = images, kinds, transform

    def __getitem__(self, i):
        image = self.images[i]
        return (image if self.transform is None else self.transform(image)), self.kinds[i]

    def __len__(self):
        return len(self.images)


torch.manual_seed(SEED)
images, kinds = make_marks(560)
full = Marks(images, kinds, transform=random_view)
order = torch.randperm(len(full)).tolist()
train_set = Subset(full, order[:320])
val_set = Subset(full, order[320:])  #! val_set = Subset(Marks(images, kinds), order[320:])
val_set.dataset.transform = None  #@
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
val_loader = DataLoader(val_set, batch_size=240)

model = nn.Sequential(
    nn.Conv2d(1, 32, 9), nn.ReLU(), nn.Dropout2d(0.1), nn.Conv2d(32, 32, 3), nn.ReLU(),
    nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(128, CLASSES),
)  # fmt: skip
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)


def train_one_epoch():
    model.train()
    losses = []
    for image, kind in train_loader:
        loss = F.cross_entropy(model(image), kind, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def validate():
    model.eval()
    image, kind = next(iter(val_loader))
    return (model(image).argmax(1) == kind).float().mean().item()


for epoch in range(15):
    print(f"epoch {epoch:2d}: train loss {train_one_epoch():.3f}, val accuracy {validate():.3f}")
