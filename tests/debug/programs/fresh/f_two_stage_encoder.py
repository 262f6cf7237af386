"""Siamese network on digits: an encoder with a projection, contrastive margin, nearest-neighbour check."""
# case: O03
# codes: step.parameter-not-optimised
# split: fresh
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = 0
torch.manual_seed(SEED)
raw = load_digits()
X = torch.tensor(raw.images, dtype=torch.float32).unsqueeze(1) / 16
X = torch.roll(X, 0) + 0.25 * torch.randn_like(X)
Y = torch.tensor(raw.target)
mix = torch.randperm(len(X))
X, Y = X[mix], Y[mix]
train_n = 1300


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 16, 3, padding=1)
        self.c2 = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.fc = nn.Linear(24 * 16, 32)

    def forward(self, x):
        return self.fc(F.relu(self.c2(F.relu(self.c1(x)))).flatten(1))


encoder = Encoder()
projector = nn.Sequential(nn.ReLU(), nn.Linear(32, 6))
optimizer = torch.optim.Adam(projector.parameters(), lr=3e-3)  #! optimizer = torch.optim.Adam([*encoder.parameters(), *projector.parameters()], lr=3e-3)


def embed(x):
    return projector(encoder(x))


def contrastive(a, b, same, margin=1.5):
    dist = (a - b).pow(2).sum(1).add(1e-9).sqrt()
    return (same * dist.pow(2) + (1 - same) * F.relu(margin - dist).pow(2)).mean()


def one_nn():
    with torch.no_grad():
        bank, query = embed(X[:train_n]), embed(X[train_n:])
    return (Y[:train_n][torch.cdist(query, bank).argmin(1)] == Y[train_n:]).float().mean().item()


for step in range(1, 501):
    i = torch.randint(0, train_n, (64,))
    j = torch.randint(0, train_n, (64,))
    half = torch.arange(64) < 26
    for k in half.nonzero().flatten().tolist():
        mates = (Y[:train_n] == Y[i[k]]).nonzero().flatten()
        j[k] = mates[torch.randint(len(mates), ())]
    loss = contrastive(embed(X[i]), embed(X[j]), (Y[i] == Y[j]).float())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  #@
    if step % 100 == 0:
        print(f"step {step}: loss {loss.item():.3f}, 1-NN accuracy {one_nn():.3f}")
