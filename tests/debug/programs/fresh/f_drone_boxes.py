"""Find a vehicle in small aerial views: objectness per grid cell, box offsets where there is one, kind of vehicle."""
# case: healthy
# codes: none
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
GRID, CELL = 4, 5


def views(n):
    size = GRID * CELL
    img = 0.3 * torch.randn(n, 1, size, size)
    centre = 3 + torch.rand(n, 2) * (size - 6)
    half = 1.0 + 1.5 * torch.rand(n, 2)
    kind = torch.randint(0, 2, (n,))
    axis = torch.arange(size) + 0.5
    for i in range(n):
        inside = ((axis[:, None] - centre[i, 0]).abs() < half[i, 0]) & ((axis[None] - centre[i, 1]).abs() < half[i, 1])
        img[i, 0][inside] += 1.5 if kind[i] else -1.5
    cell = (centre / CELL).long()
    box = torch.cat([centre / CELL - cell, half.log()], 1)
    return img, cell[:, 0] * GRID + cell[:, 1], box, kind


class Detector(nn.Module):
    def __init__(self, c=24):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, c, 3, padding=1), nn.BatchNorm2d(c), nn.SiLU(), nn.Conv2d(c, c, CELL, stride=CELL), nn.BatchNorm2d(c), nn.SiLU(), nn.Conv2d(c, c, 3, padding=1), nn.SiLU()
        )
        self.heads = nn.ModuleDict({"there": nn.Conv2d(c, 1, 1), "box": nn.Conv2d(c, 4, 1), "kind": nn.Conv2d(c, 2, 1)})

    def forward(self, img):
        h = self.body(img)
        return {name: head(h).flatten(2) for name, head in self.heads.items()}


def objective(out, cell, box, kind):
    rows = torch.arange(len(cell))
    there = F.one_hot(cell, GRID * GRID).float()
    return (
        F.binary_cross_entropy_with_logits(out["there"][:, 0], there, pos_weight=torch.tensor(8.0))
        + F.smooth_l1_loss(out["box"][rows, :, cell], box)
        + F.cross_entropy(out["kind"][rows, :, cell], kind)
    )


def main():
    torch.manual_seed(SEED)
    train, test = views(1000), views(200)
    net = Detector()
    opt = torch.optim.AdamW(net.parameters(), lr=4e-3)
    for epoch in range(1, 10):
        net.train()
        for i in torch.randperm(1000).split(30):
            img, *target = (t[i] for t in train)
            loss = objective(net(img), *target)
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 3 == 0:
            net.eval()
            with torch.no_grad():
                out = net(test[0])
            rows = torch.arange(200)
            found = (out["there"][:, 0].argmax(1) == test[1]).float().mean()
            off = (out["box"][rows, :, test[1]] - test[2]).abs().mean()
            kind = (out["kind"][rows, :, test[1]].argmax(1) == test[3]).float().mean()
            print(f"epoch {epoch}: loss {loss.item():.3f} cell {found:.3f} box error {off:.3f} kind {kind:.3f}")


main()
