"""Siamese embedding of digits with a margin loss on pairs; nearest-neighbour accuracy as check."""
# case: O18
# codes: step.optimiser-recreated
# split: held-out

import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

SEED = 0
MARGIN = 1.0


def make_pairs(labels, per_epoch):
    left = torch.randint(len(labels), (per_epoch,))
    right = torch.randint(len(labels), (per_epoch,))
    order = torch.argsort(labels + 0.01 * torch.rand(len(labels)))
    slot = torch.argsort(order)
    half = per_epoch // 2
    right[:half] = order[(slot[left[:half]] + torch.randint(1, 60, (half,))) % len(labels)]
    return left, right, (labels[left] == labels[right]).float()


class Embed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 12, 3, padding=1), nn.PReLU(12), nn.AvgPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.PReLU(24), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(96, 8),
        )

    def forward(self, x):
        return self.layers(x)


def contrastive(a, b, same):
    squared = (a - b).pow(2).sum(1)
    apart = torch.relu(MARGIN - (squared + 1e-6).sqrt()).pow(2)
    return (same * squared + (1 - same) * apart).mean()


def train_epoch(net, optimizer, x, labels):
    left, right, same = make_pairs(labels, 500)
    total = 0.0
    for idx in torch.randperm(len(left)).split(100):
        loss = contrastive(net(x[left[idx]]), net(x[right[idx]]), same[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    return total / len(left)


def knn(net, x, y, x_test, y_test):
    with torch.no_grad():
        return KNeighborsClassifier(3).fit(net(x).numpy(), y.numpy()).score(net(x_test).numpy(), y_test.numpy())


torch.manual_seed(SEED)
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
order = torch.randperm(len(x))
(x, y), (x_test, y_test) = (x[order[:1300]], y[order[:1300]]), (x[order[1300:]], y[order[1300:]])
net = Embed()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.95)
for epoch in range(25):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.95)  #!
    loss = train_epoch(net, optimizer, x, y)
    if epoch % 4 == 0:
        print(f"epoch {epoch:2d}: loss {loss:.4f}  3-nn accuracy {knn(net, x, y, x_test, y_test):.3f}")
