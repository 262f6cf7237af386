"""Digit classifier with a rotation, zoom and mirror augmentation that is computed on whole batches."""
# case: D19
# codes: data.harmful-augmentation
# split: rules

import math

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = 0
MAX_ANGLE = 180  #! MAX_ANGLE = 12
MAX_ZOOM = 0.1


def random_affine(images):
    """Turn and zoom every image of the batch by its own random amount."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * MAX_ANGLE * math.pi / 180
    zoom = 1 + (torch.rand(count) * 2 - 1) * MAX_ZOOM
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = angle.cos() * zoom
    theta[:, 0, 1], theta[:, 1, 0] = -angle.sin() * zoom, angle.sin() * zoom
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def conv_net():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(32 * 16, 10),
    )  # fmt: skip


torch.manual_seed(SEED)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
labels = torch.tensor(digits.target)
order = torch.randperm(len(images))
train, val = order[:1400], order[1400:]
mean, std = images[train].mean(), images[train].std()

model = conv_net()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(10):
    model.train()
    losses = []
    for batch in train[torch.randperm(len(train))].split(64):
        x = random_affine(images[batch])  #@
        loss = F.cross_entropy(model((x - mean) / std), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        out = model((images[val] - mean) / std)
        accuracy = (out.argmax(1) == labels[val]).float().mean().item()
    print(f"epoch {epoch}: train loss {sum(losses) / len(losses):.3f}, val accuracy {accuracy:.3f}")
