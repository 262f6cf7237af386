"""Segment bright regions in simulated chest slices with a very small U-shaped network."""
# case: L02
# codes: loss.sigmoid-before-bce-with-logits
# split: fresh
import argparse

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0


def slices(n, size, gen):
    yy, xx = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    image = 0.6 * torch.randn(n, 1, size, size, generator=gen)
    mask = torch.zeros(n, 1, size, size)
    for i in range(n):
        for _ in range(2):
            cy, cx = (torch.rand(2, generator=gen) * size).tolist()
            r = 2.5 + 2.5 * torch.rand((), generator=gen).item()
            mask[i, 0][((yy - cy) ** 2 + (xx - cx) ** 2) < r * r] = 1.0
    return image + 1.3 * mask, mask


class Block(nn.Sequential):
    def __init__(self, cin, cout):
        super().__init__(nn.Conv2d(cin, cout, 3, padding=1), nn.GroupNorm(4, cout), nn.SiLU())


class TinyU(nn.Module):
    def __init__(self):
        super().__init__()
        self.top, self.low = Block(1, 8), Block(8, 16)
        self.join = Block(24, 8)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = self.top(x)
        b = F.interpolate(self.low(F.max_pool2d(a, 2)), scale_factor=2.0)
        return torch.sigmoid(self.last(self.join(torch.cat([a, b], 1))))  #! return self.last(self.join(torch.cat([a, b], 1)))


def dice(pred, mask):
    return (2 * (pred * mask).sum() / (pred.sum() + mask.sum()).clamp(min=1)).item()


def run(args):
    gen = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    train, test = slices(160, 24, gen), slices(48, 24, gen)
    net = TinyU()
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        total = 0
        for idx in torch.randperm(160, generator=gen).split(args.batch):
            loss = F.binary_cross_entropy_with_logits(net(train[0][idx]), train[1][idx])  #@
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(idx) / 160
        with torch.no_grad():
            out = net(test[0])
            val = F.binary_cross_entropy_with_logits(out, test[1])
        print(f"[{epoch}] loss {total:.4f}  val {val:.4f}  dice {dice((out > 0.5).float(), test[1]):.3f}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=5e-3)
    p.add_argument("--epochs", type=int, default=12)
    p.add_argument("--batch", type=int, default=16)
    run(p.parse_args())
