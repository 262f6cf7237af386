"""Insurance claims, three kinds of different frequency; a sampler balances the kinds.

Planted: the sampler is given one weight for each class instead of one for each row, so it only ever draws the first
three rows of the table.
"""
# case: unlisted
# codes: none-listed
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

SEED = 0


def claims(n):
    kind = torch.multinomial(torch.tensor([0.7, 0.2, 0.1]), n, replacement=True)
    x = torch.randn(n, 8)
    x[:, 0] += 1.8 * (kind == 1)
    x[:, 1] -= 2.0 * (kind == 2)
    x[:, 2] *= 1 + 1.0 * (kind == 0)
    return x, kind


def balanced_loader(x, kind, batch):
    weights = 1.0 / torch.bincount(kind, minlength=3).float()
    sampler = WeightedRandomSampler(weights, num_samples=len(kind))  #! sampler = WeightedRandomSampler(weights[kind], num_samples=len(kind))
    return DataLoader(TensorDataset(x, kind), batch_size=batch, sampler=sampler)  #@


def main():
    torch.manual_seed(SEED)
    x, kind = claims(1500)
    xt, kt = claims(1000)
    loader = balanced_loader(x, kind, 50)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(8):
        mean = 0.0
        for xb, kb in loader:
            loss = nn.functional.cross_entropy(net(xb), kb)
            opt.zero_grad()
            loss.backward()
            opt.step()
            mean += loss.item() / len(loader)
        with torch.no_grad():
            guess = net(xt).argmax(1)
        recall = [(guess[kt == k] == k).float().mean().item() for k in range(3)]
        print(f"epoch {epoch}: loss {mean:.4f}, recall {[round(r, 2) for r in recall]}, mean {sum(recall) / 3:.3f}")


if __name__ == "__main__":
    main()
