"""PointNet on toy point clouds: sphere, cube, cylinder, cone or torus, each with 64 noisy points."""
# case: S07
# codes: shape.samples-mixed, model.ignores-input
# split: held-out
import math
import time

import torch
import torch.nn.functional as F
from torch import nn, optim

SEED = 0
NUM_POINTS, BATCH_SIZE, NUM_CLASSES = 64, 64, 5


def surface(kind, n):
    u, v = torch.rand(n, NUM_POINTS) * 2 * math.pi, torch.rand(n, NUM_POINTS) * 2 - 1
    ring = torch.stack([u.cos(), u.sin()], dim=-1)
    if kind == 0:
        return torch.cat([ring * (1 - v**2).sqrt().unsqueeze(-1), v.unsqueeze(-1)], dim=-1)
    if kind == 1:
        cube = torch.randn(n, NUM_POINTS, 3)
        return 0.8 * cube / cube.abs().amax(-1, keepdim=True)
    if kind == 2:
        return torch.cat([0.7 * ring, v.unsqueeze(-1)], dim=-1)
    if kind == 3:
        return torch.cat([ring * (1 - v.unsqueeze(-1)) / 2, v.unsqueeze(-1)], dim=-1)
    tube = 0.7 + 0.3 * (math.pi * v).cos()
    return torch.cat([ring * tube.unsqueeze(-1), 0.3 * (math.pi * v).sin().unsqueeze(-1)], dim=-1)


def build_split(per_class):
    clouds = torch.cat([surface(kind, per_class) for kind in range(NUM_CLASSES)])
    target = torch.arange(NUM_CLASSES).repeat_interleave(per_class)
    angle = torch.rand(len(clouds)) * 2 * math.pi
    zeros = torch.zeros_like(angle)
    spin = torch.stack([angle.cos(), -angle.sin(), zeros, angle.sin(), angle.cos(), zeros, zeros, zeros, zeros + 1], -1)
    clouds = clouds @ spin.view(-1, 3, 3) + 0.05 * torch.randn_like(clouds)
    return clouds, target


class PointNet(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.lin1, self.lin2, self.lin3 = nn.Linear(3, 32), nn.Linear(32, 64), nn.Linear(64, 64)
        self.fc1, self.fc2 = nn.Linear(64, 32), nn.Linear(32, k)

    def forward(self, points):
        x = F.relu(self.lin1(points))
        x = F.relu(self.lin2(x))
        x = self.lin3(x)
        x = torch.max(x, 0)[0]  #! x = torch.max(x, 1)[0]
        return self.fc2(F.relu(self.fc1(x)))


torch.manual_seed(SEED)
train_points, train_target = build_split(256)
test_points, test_target = build_split(64)
classifier = PointNet(NUM_CLASSES)
optimizer = optim.Adam(classifier.parameters(), lr=2e-3, betas=(0.9, 0.999))
started = time.time()
for epoch in range(10):
    for batch in torch.randperm(len(train_points)).view(-1, BATCH_SIZE):
        optimizer.zero_grad()
        pred = classifier(train_points[batch])
        loss = F.cross_entropy(pred, train_target[batch])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        pred = torch.cat([classifier(part) for part in test_points.split(BATCH_SIZE)])
        correct = pred.argmax(1).eq(test_target).float().mean()
    print(f"[{epoch}] train loss {loss.item():.4f} test accuracy {correct:.3f} ({time.time() - started:.1f}s)")
