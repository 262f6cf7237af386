"""Residual MLP classifying two interleaved spirals."""
# case: O04
# codes: step.unregistered-parameter
# split: rules

import math

import torch
from torch import nn, optim

SEED = 0
g = torch.Generator().manual_seed(SEED)


def spirals(n, turns=1.5):
    label = torch.randint(0, 2, (n,), generator=g)
    t = torch.rand(n, generator=g).sqrt() * turns * 2 * math.pi
    angle = t + label * math.pi
    points = torch.stack([t * angle.cos(), t * angle.sin()], 1) / (turns * math.pi)
    return points + 0.03 * torch.randn(n, 2, generator=g), label


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x):
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm(x))))


class ResMLP(nn.Module):
    def __init__(self, dim=32, depth=4, classes=2):
        super().__init__()
        self.stem = nn.Linear(2, dim)
        self.blocks = [Block(dim) for _ in range(depth)]  #! self.blocks = nn.ModuleList(Block(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def main():
    torch.manual_seed(SEED)
    (x, y), (x_val, y_val) = spirals(1024), spirals(512)
    model = ResMLP()
    opt = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    print("parameters:", sum(p.numel() for p in model.parameters()))
    step = 0
    for _ in range(30):
        for index in torch.randperm(len(x)).split(128):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x[index]), y[index])
            loss.backward()
            opt.step()
            step += 1
            if step % 40 == 0:
                with torch.no_grad():
                    accuracy = (model(x_val).argmax(1) == y_val).float().mean()
                print(f"step {step} loss {loss.item():.3f} val acc {accuracy:.3f}")


main()
