"""Compress the digits to eight numbers with an autoencoder."""
# case: O18
# codes: step.optimiser-recreated
# split: rules

import statistics

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

SEED = 0


def make_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-2)


class AutoEncoder(nn.Module):
    def __init__(self, dim=64, hidden=128, code=8):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(dim, hidden), nn.ELU(), nn.Linear(hidden, code))
        self.decode = nn.Sequential(nn.Linear(code, hidden), nn.ELU(), nn.Linear(hidden, dim))

    def forward(self, x):
        return self.decode(self.encode(x))


def main(epochs=40):
    torch.manual_seed(SEED)
    images = torch.tensor(load_digits().data, dtype=torch.float32) / 16
    images = images[torch.randperm(len(images))]
    train, val = images[:1400], images[1400:]
    center = train.mean(0)
    train, val = train - center, val - center
    loader = DataLoader(train, batch_size=280, shuffle=True)

    model = AutoEncoder()
    loss_fn = nn.MSELoss()
    #+ optimizer = make_optimizer(model)
    for epoch in range(epochs):
        optimizer = make_optimizer(model)  #!
        losses = []
        for batch in loader:
            loss = loss_fn(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % 5 == 4:
            with torch.no_grad():
                print(f"epoch {epoch + 1:2d}: train {statistics.fmean(losses):.5f} val {loss_fn(model(val), val).item():.5f}")


main()
