"""Images stay bytes up to the model, whose first layer scales them on the device."""
# case: H20
# codes: none
# split: rules

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class Normalize(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x):
        return (x - self.mean) / self.std


class Shapes(Dataset):
    """Coloured bars (horizontal or vertical, in three colours) on noisy background, uint8 HWC."""

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 6, n)
        self.images = rng.integers(30, 130, (n, 20, 20, 3), dtype=np.uint8)
        for image, label in zip(self.images, self.labels, strict=True):
            r, c = rng.integers(1, 8, 2)
            bar = image[r : r + 3, c : c + 10] if label < 3 else image[r : r + 10, c : c + 3]
            bar[..., label % 3] = rng.integers(120, 180)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return torch.from_numpy(self.images[i]).permute(2, 0, 1).float(), int(self.labels[i])


def main():
    torch.manual_seed(SEED)
    train, valid = Shapes(2000, SEED), Shapes(500, SEED + 1000)
    model = nn.Sequential(
        Normalize(train.images.mean((0, 1, 2)), train.images.std((0, 1, 2))),
        nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 6),
    )  # fmt: skip
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    train_loader = DataLoader(train, batch_size=50, shuffle=True)
    valid_loader = DataLoader(valid, batch_size=250)
    for epoch in range(6):
        model.train()
        for x, y in train_loader:
            loss = nn.functional.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            hits = sum((model(x).argmax(1) == y).sum().item() for x, y in valid_loader)
        print(f"epoch {epoch}: loss {loss.item():.3f}, validation accuracy {hits / len(valid):.3f}")


if __name__ == "__main__":
    main()
