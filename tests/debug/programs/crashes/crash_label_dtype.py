"""Wheat varieties from kernel measurements, read as one float table with the class in its last column."""
# case: crash
# codes: shape.mismatch
# split: rules

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


def kernel_table(n, rng):
    variety = rng.integers(0, 3, n)
    centres = np.array([[14.3, 5.5, 3.2, 2.7], [18.3, 6.1, 3.7, 3.6], [11.9, 5.2, 2.9, 4.8]])
    spread = np.array([1.2, 0.25, 0.18, 1.2])
    return np.column_stack([centres[variety] + spread * rng.normal(size=(n, 4)), variety])


class Kernels(Dataset):
    def __init__(self, table, mean, std):
        self.x = torch.tensor((table[:, :-1] - mean) / std, dtype=torch.float32)
        self.y = torch.tensor(table[:, -1], dtype=torch.float32)  #! self.y = torch.tensor(table[:, -1], dtype=torch.long)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def main():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    table = kernel_table(900, rng)
    train, valid = table[:700], table[700:]
    mean, std = train[:, :-1].mean(0), train[:, :-1].std(0)
    train_loader = DataLoader(Kernels(train, mean, std), batch_size=35, shuffle=True)
    valid_loader = DataLoader(Kernels(valid, mean, std), batch_size=200)
    model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(8):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)  #@
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            x, y = next(iter(valid_loader))
            accuracy = (model(x).argmax(1) == y).float().mean().item()
        print(f"epoch {epoch}: loss {loss.item():.4f} accuracy {accuracy:.3f}")


main()
