"""Land use from small satellite tiles stored channels-last; three-fold structure: bands, tiles, labels."""
# case: S01
# codes: shape.layout-scrambled
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0
BANDS, SIDE = 4, 16


def tiles(n, rng):
    """Fields have stripes, towns have blocks, lakes are smooth, woods are speckled; the bands share the pattern."""
    use = rng.integers(0, 4, n)
    cube = rng.normal(0, 3.1, (n, SIDE, SIDE, BANDS))
    r, c = np.mgrid[:SIDE, :SIDE]
    for i, u in enumerate(use):
        a, s = rng.integers(0, 4), rng.choice([-1, 1])
        pattern = {0: np.sin((c + a) * 1.5), 1: np.sin((r + a) * 1.5), 2: np.sin((r + c + a) * 1.1), 3: np.sin((r - c + a) * 1.1)}[int(u)]
        cube[i] += s * pattern[..., None]
    return cube.astype("float32"), use


class LandUse(nn.Module):
    def __init__(self, bands, uses):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(bands, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        )
        self.classify = nn.Linear(24, uses)

    def forward(self, x):
        x = x.view(-1, BANDS, SIDE, SIDE)  #! x = x.permute(0, 3, 1, 2)
        return self.classify(self.features(x).flatten(1))  #@


def score(net, cube, use):
    net.eval()
    with torch.no_grad():
        return (net(cube).argmax(1) == use).float().mean().item()


if __name__ == "__main__":
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    (a, b), (c, d) = tiles(240, rng), tiles(240, rng)
    a, b, c, d = map(torch.from_numpy, (a, b, c, d))
    net = LandUse(BANDS, 4)
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for epoch in range(1, 15):
        net.train()
        mean = 0.0
        for idx in torch.randperm(240).split(24):
            loss = nn.functional.cross_entropy(net(a[idx]), b[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            mean += loss.item() / 10
        print(f"epoch {epoch:2d}  loss {mean:.3f}  valid {score(net, c, d):.3f}")
