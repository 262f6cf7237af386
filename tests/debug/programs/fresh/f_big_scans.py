"""Scans that are too big for large batches (pretended): two at a time through a normalised network."""
# case: M04
# codes: mode.batchnorm-tiny-batch
# split: fresh
import torch
from torch import nn

SEED = 0
BATCH = 2


def scans(n):
    stage = torch.randint(0, 3, (n,))
    base = torch.randn(n, 1, 16, 16)
    for i in range(n):
        k = int(stage[i])
        if k:
            r, c = torch.randint(0, 10, (2,)).tolist()
            base[i, 0, r : r + 5, c : c + 5] += 1.6 * (1 if k == 1 else -1)
    brightness = 1.5 * torch.randn(n, 1, 1, 1)
    return base + brightness, stage


def norm(channels):
    return nn.BatchNorm2d(channels)  #! return nn.GroupNorm(4, channels)


class ScanNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), norm(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 24, 3, padding=1), norm(24), nn.ReLU(), nn.AdaptiveMaxPool2d(2)
        )
        self.end = nn.Linear(96, 3)

    def forward(self, x):
        return self.end(self.body(x).flatten(1))


torch.manual_seed(SEED)
x, y = scans(300)
xv, yv = scans(200)
net = ScanNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(6):
    net.train()
    tot = right = 0.0
    for i in torch.randperm(300).split(BATCH):  #@
        out = net(x[i])
        loss = nn.functional.cross_entropy(out, y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * BATCH / 300
        right += (out.argmax(1) == y[i]).sum().item() / 300
    net.eval()
    with torch.no_grad():
        out = net(xv)
        val = nn.functional.cross_entropy(out, yv)
    print(f"epoch {epoch}: train {tot:.3f} ({right:.3f}), valid {val:.3f} ({(out.argmax(1) == yv).float().mean():.3f})")
