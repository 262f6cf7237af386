"""Siamese network with a contrastive margin loss on pairs of digits."""
# case: healthy
# codes: none
# split: held-out

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
MARGIN = 1.0


class PairDataset(Dataset):
    """For each digit a partner, half of the time of the same class; new partners each epoch."""

    def __init__(self, images, labels):
        self.images = torch.as_tensor(images, dtype=torch.float32)
        self.labels = torch.as_tensor(labels)
        self.by_class = [torch.nonzero(self.labels == c).flatten() for c in range(10)]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        own = int(self.labels[i])
        same = torch.rand(()) < 0.5
        label = own if same else (own + int(torch.randint(1, 10, ()))) % 10
        pool = self.by_class[label]
        j = pool[int(torch.randint(len(pool), ()))]
        return self.images[i], self.images[j], same.float()


class Branch(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, dim))

    def forward(self, x):
        return self.net(x)


def contrastive_loss(a, b, same):
    distance = ((a - b).pow(2).sum(1) + 1e-8).sqrt()
    return (same * distance.pow(2) + (1 - same) * (MARGIN - distance).clamp(min=0).pow(2)).mean()


def nearest_class_accuracy(branch, x_ref, y_ref, x, y):
    branch.eval()
    with torch.no_grad():
        ref, query = branch(x_ref), branch(x)
        centres = torch.stack([ref[y_ref == c].mean(0) for c in range(10)])
        return (torch.cdist(query, centres).argmin(1) == y).float().mean().item()


if __name__ == "__main__":
    torch.manual_seed(SEED)
    order = np.random.default_rng(SEED).permutation(1797)
    data, target = load_digits(return_X_y=True)
    data = (data[order] - 4.9) / 6.0
    target = target[order]
    train_set = PairDataset(data[:1400], target[:1400])
    val_x, val_y = torch.tensor(data[1400:], dtype=torch.float32), torch.tensor(target[1400:])
    loader = DataLoader(train_set, batch_size=70, shuffle=True)
    branch = Branch()
    optimizer = torch.optim.Adam(branch.parameters(), lr=2e-3)
    for epoch in range(12):
        branch.train()
        losses = []
        for left, right, same in loader:
            loss = contrastive_loss(branch(left), branch(right), same)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % 2:
            acc = nearest_class_accuracy(branch, train_set.images, train_set.labels, val_x, val_y)
            print(f"epoch {epoch + 1}: contrastive loss {np.mean(losses):.4f}, nearest-centre accuracy on new digits {acc:.3f}")
