"""Embed digits with a batch-hard triplet loss; judged by nearest neighbours."""
# case: N01
# codes: numeric.non-finite-gradient
# split: rules

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit
from torch import nn

SEED = 0


def pairwise_distance(a, b):
    squared = (a[:, None] - b[None]).square().sum(-1)
    return squared.sqrt()  #! return (squared + 1e-8).sqrt()


def batch_hard_triplet(embedding, label, margin=0.5):
    distance = pairwise_distance(embedding, embedding)  #@
    same = label[:, None] == label[None]
    furthest_positive = distance.masked_fill(~same, 0.0).amax(1)
    nearest_negative = distance.masked_fill(same, 1e4).amin(1)
    return torch.relu(furthest_positive - nearest_negative + margin).mean()


class Embedder(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, dim))

    def forward(self, x):
        return nn.functional.normalize(self.layers(x), dim=-1)


class BalancedBatches:
    """Batches with `per_class` examples of each digit."""

    def __init__(self, label, per_class, count):
        self.rows = [torch.nonzero(label == digit).flatten() for digit in range(10)]
        self.per_class, self.count = per_class, count

    def __iter__(self):
        for _ in range(self.count):
            yield torch.cat([rows[torch.randperm(len(rows))[: self.per_class]] for rows in self.rows])


@torch.no_grad()
def neighbour_accuracy(model, x_ref, y_ref, x, y):
    nearest = pairwise_distance(model(x), model(x_ref)).argmin(1)
    return (y_ref[nearest] == y).float().mean().item()


torch.manual_seed(SEED)
data, target = load_digits(return_X_y=True)
train, test = next(StratifiedShuffleSplit(1, test_size=0.3, random_state=SEED).split(data, target))
x = torch.tensor(data, dtype=torch.float32)
x = (x - x[train].mean()) / x[train].std()
y = torch.tensor(target)
x_train, y_train, x_test, y_test = x[train], y[train], x[test], y[test]
model = Embedder()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step, rows in enumerate(BalancedBatches(y_train, per_class=6, count=160), 1):
    loss = batch_hard_triplet(model(x_train[rows]), y_train[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 1 or step % 20 == 0:
        print(f"step {step} triplet {loss.item():.4f} 1-nn {neighbour_accuracy(model, x_train, y_train, x_test, y_test):.4f}")
