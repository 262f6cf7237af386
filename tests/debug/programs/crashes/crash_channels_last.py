"""Ripeness of fruit from small photographs kept as NumPy arrays."""
# case: crash
# codes: shape.mismatch
# split: held-out

import numpy as np
import torch
from torch import nn

SEED = 0


def photographs(n, rng):
    """Green, yellow or red fruit on a grey table; uint8, height x width x channel."""
    ripeness = rng.integers(0, 3, n)
    colour = np.array([[90, 170, 80], [190, 180, 70], [190, 80, 70]])
    photos = rng.normal(120, 30, (n, 24, 24, 3))
    yy, xx = np.mgrid[0:24, 0:24]
    for photo, ripe in zip(photos, ripeness, strict=True):
        (cy, cx), r = rng.uniform(8, 16, 2), rng.uniform(4, 7)
        inside = (yy - cy) ** 2 + (xx - cx) ** 2 < r**2
        photo[inside] = colour[ripe] + rng.normal(0, 35, (inside.sum(), 3)) + rng.normal(0, 15, 3)
    return photos.clip(0, 255).astype(np.uint8), ripeness


class FruitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU()
        )
        self.classifier = nn.Linear(24, 3)

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=(2, 3)))  #@


def prepare(photos, mean, std):
    x = (photos.astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(x)  #! return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()


def main():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    photos, ripeness = photographs(1000, rng)
    scaled = photos[:800].astype(np.float32) / 255
    mean, std = scaled.mean((0, 1, 2)), scaled.std((0, 1, 2))
    x, y = prepare(photos, mean, std), torch.from_numpy(ripeness)
    x_train, y_train, x_val, y_val = x[:800], y[:800], x[800:], y[800:]
    net = FruitNet()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=2e-3)
    for epoch in range(6):
        net.train()
        losses = []
        for idx in torch.randperm(800).split(40):
            loss = nn.functional.cross_entropy(net(x_train[idx]), y_train[idx])  #@
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        net.eval()
        with torch.no_grad():
            acc = (net(x_val).argmax(1) == y_val).float().mean().item()
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, validation accuracy {acc:.3f}")


if __name__ == "__main__":
    main()
