"""Leaf textures, byte images read by a data class and prepared by a chain of transforms."""
# case: D04
# codes: data.normalised-twice
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0


def toFloat(img):
    return img.astype(np.float32) / 255.0


class Normalise:
    def __init__(self, mean, std, maxPixel):
        self.mean, self.std, self.maxPixel = mean, std, maxPixel

    def __call__(self, img):
        return (img / self.maxPixel - self.mean) / self.std


class LeafFolder(torch.utils.data.Dataset):
    def __init__(self, count, seed, chain):
        r = np.random.default_rng(seed)
        self.kind = r.integers(0, 3, count)
        u = np.arange(14)
        waves = np.stack([np.sin(u * w)[None, :] * np.cos(u * v)[:, None] for w, v in ((0.5, 1.4), (1.4, 0.5), (0.9, 0.9))])
        phase = r.integers(0, 14, count)
        noisy = np.stack([np.roll(waves[k], p, (0, 1)) for k, p in zip(self.kind, phase)]) + r.normal(0, 0.7, (count, 14, 14))
        self.bytes = np.clip(128 + 40 * noisy, 0, 255).astype(np.uint8)
        self.chain = chain

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, i):
        img = toFloat(self.bytes[i])  #! img = self.bytes[i].astype(np.float32)
        for step in self.chain:
            img = step(img)
        return torch.from_numpy(np.ascontiguousarray(img, dtype=np.float32))[None], int(self.kind[i])


def main():
    torch.manual_seed(SEED)
    chain = [Normalise(0.5, 0.17, maxPixel=255.0)]  #@
    train = torch.utils.data.DataLoader(LeafFolder(500, SEED, chain), 25, shuffle=True)  #@
    test = torch.utils.data.DataLoader(LeafFolder(200, SEED + 1, chain), 200)
    net = nn.Sequential(nn.Conv2d(1, 12, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    opt = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    for epoch in range(9):
        tot = 0
        for x, k in train:
            loss = nn.functional.cross_entropy(net(x), k)
            opt.zero_grad()
            loss.backward()
            opt.step()
            tot += loss.item() / len(train)
        with torch.no_grad():
            x, k = next(iter(test))
            print(f"epoch {epoch}: train loss {tot:.3f}, test accuracy {(net(x).argmax(1) == k).float().mean():.3f}")


if __name__ == "__main__":
    main()
