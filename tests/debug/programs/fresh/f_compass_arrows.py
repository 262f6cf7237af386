"""Which way does the arrow point (8 compass directions)? Small pictures, augmentation to get more of them."""
# case: D19
# codes: data.harmful-augmentation
# split: fresh
import math

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def arrow(direction, size=15):
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    a = direction * math.pi / 4 + 0.1 * torch.randn(())
    along, across = x * a.cos() + y * a.sin(), -x * a.sin() + y * a.cos()
    shaft = (across.abs() < 0.12) & (along.abs() < 0.8)
    head = (along > 0.2) & (along < 0.8) & (across.abs() < (0.8 - along))
    return (shaft | head).float() + 0.35 * torch.randn(size, size)


def collect(n):
    d = torch.randint(0, 8, (n,))
    return torch.stack([arrow(k) for k in d])[:, None], d


def augment(batch):
    if torch.rand(()) < 0.5:
        batch = batch + 0.1 * torch.randn_like(batch)
    turns = int(torch.randint(0, 4, ()))  #! turns = 0
    return torch.rot90(batch, turns, (2, 3))  #@


pics, way = collect(640)
test_pics, test_way = collect(200)
net = nn.Sequential(nn.Conv2d(1, 12, 3, stride=2), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(216, 64), nn.ReLU(), nn.Linear(64, 8))
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(12):
    net.train()
    loss_sum = 0
    for i in torch.randperm(len(pics)).split(32):
        loss = nn.functional.cross_entropy(net(augment(pics[i])), way[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        loss_sum += loss.item() / 20
    if epoch % 3 == 2:
        net.eval()
        with torch.no_grad():
            acc = (net(test_pics).argmax(1) == test_way).float().mean().item()
        print(f"epoch {epoch + 1:2d}  loss {loss_sum:.3f}  test {acc:.3f}")
