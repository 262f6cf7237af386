"""Metric learning on rows of a table: each row gets jittered copies, pairs are pulled together or pushed apart."""
# case: double
# codes: numeric.non-finite-gradient
# also: data.split-overlap
# split: held-out

import numpy as np
import torch
from torch import nn

SEED = 0


def rows(rng, n=300, classes=6):
    centres = rng.normal(size=(classes, 14)) * 1.2
    label = rng.integers(classes, size=n)
    return (centres[label] + rng.normal(size=(n, 14))).astype(np.float32), label


def jitter(rng, x, label, copies=4):
    x = np.repeat(x, copies, axis=0)
    return x + 0.05 * rng.normal(size=x.shape).astype(np.float32), np.repeat(label, copies)


def split(rng, x, label, share=0.75):
    order = rng.permutation(len(x))
    cut = int(share * len(x))
    return (x[order[:cut]], label[order[:cut]]), (x[order[cut:]], label[order[cut:]])


def prepare(rng):
    x, label = rows(rng)
    x, label = jitter(rng, x, label)  #!
    train, valid = split(rng, x, label)  #@
    #+ train = jitter(rng, *train)
    mean, std = train[0].mean(0), train[0].std(0)
    return tuple((torch.from_numpy((a - mean) / std), torch.from_numpy(b)) for a, b in (train, valid))


class Projector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(14, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 6))

    def forward(self, x):
        return self.body(x)


def pairwise_loss(z, label, margin=2.0):
    squared = (z.unsqueeze(1) - z.unsqueeze(0)).pow(2).sum(-1)
    distance = squared.sqrt()  #! distance = (squared + 1e-8).sqrt()
    same = (label.unsqueeze(1) == label.unsqueeze(0)).float()
    loss = same * distance.pow(2) + (1 - same) * torch.relu(margin - distance).pow(2)
    return loss.sum() / (len(z) * (len(z) - 1))


def nearest_accuracy(net, reference, query):
    with torch.no_grad():
        gap = torch.cdist(net(query[0]), net(reference[0]))
    return (reference[1][gap.argmin(1)] == query[1]).float().mean().item()


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
train, valid = prepare(rng)
net = Projector()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for step in range(200):
    idx = torch.from_numpy(rng.choice(len(train[0]), 48, replace=False))
    loss = pairwise_loss(net(train[0][idx]), train[1][idx])
    optimizer.zero_grad()
    loss.backward()  #@
    optimizer.step()
    if step % 40 == 0 or step == 199:
        print(f"{step:3d}: loss {loss.item():.4f} nearest-neighbour accuracy {nearest_accuracy(net, train, valid):.3f}")
