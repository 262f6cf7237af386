"""Classify noisy stamps with a net of parallel branches; the training images are shifted and flipped at random."""
# case: double
# codes: step.unregistered-parameter
# also: data.augmented-validation
# split: rules

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, Subset

SEED = 0


class Stamps(Dataset):
    """12x12 stamps of five random prototypes."""

    def __init__(self, n, augment):
        g = torch.Generator().manual_seed(SEED)
        base = torch.randn(5, 1, 12, 12, generator=g)
        self.prototypes = nn.functional.avg_pool2d(base, 3, stride=1, padding=1) * 2
        self.labels = torch.randint(5, (n,), generator=g)
        self.images = self.prototypes[self.labels] + 0.8 * torch.randn(n, 1, 12, 12, generator=g)
        self.augment = augment

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        image = self.images[i]
        if self.augment:
            shift = torch.randint(-2, 3, (2,)).tolist()
            image = torch.roll(image, shift, dims=(1, 2))
            if torch.rand(()) < 0.3:
                image = image.flip(2)
            image = image + 0.3 * torch.randn_like(image)
        return image, self.labels[i]


class Branches(nn.Module):
    def __init__(self, kernels=(3, 5), width=12):
        super().__init__()
        branches = [self.branch(k, width) for k in kernels]
        self.branches = branches  #! self.branches = nn.ModuleList(branches)
        self.classify = nn.Sequential(nn.Linear(len(kernels) * width, 32), nn.ReLU(), nn.Linear(32, 5))

    @staticmethod
    def branch(k, width):
        conv = nn.Sequential(nn.Conv2d(1, width, k, padding=k // 2), nn.ReLU(), nn.Conv2d(width, width, k, padding=k // 2))
        return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.classify(torch.cat([b(x) for b in self.branches], 1))  #@


torch.manual_seed(SEED)
order = torch.randperm(1000).tolist()
train_set = Subset(Stamps(1000, augment=True), order[:800])
val_set = Subset(Stamps(1000, augment=True), order[800:])  #! val_set = Subset(Stamps(1000, augment=False), order[800:])
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
val_loader = DataLoader(val_set, batch_size=100)  #@
model = Branches()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)  #@
for epoch in range(10):
    model.train()
    total = 0.0
    for image, label in train_loader:
        loss = nn.functional.cross_entropy(model(image), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / len(train_loader)
    model.eval()
    with torch.no_grad():
        hits = sum((model(image).argmax(1) == label).sum().item() for image, label in val_loader)
    print(f"epoch {epoch}: loss {total:.4f} accuracy {hits / len(val_set):.3f}")
