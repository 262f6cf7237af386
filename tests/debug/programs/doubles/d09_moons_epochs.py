"""Two interleaving half circles, binary classifier, each epoch in a function of its own."""
# case: double
# codes: loss.sigmoid-before-bce-with-logits
# also: step.optimiser-recreated
# split: rules

import torch
from sklearn.datasets import make_moons
from torch import nn

SEED = 0
LR = 0.02


class MoonNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x):
        return torch.sigmoid(self.net(x)).squeeze(1)  #! return self.net(x).squeeze(1)


def run_epoch(model, optimizer, criterion, x, y):
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)  #!
    model.train()
    total = 0.0
    for idx in torch.randperm(len(x)).split(100):
        loss = criterion(model(x[idx]), y[idx])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    return total / len(x)


def error_rate(model, x, y, threshold):
    model.eval()
    with torch.no_grad():
        return ((model(x) > threshold) != (y > 0.5)).float().mean().item()


def main():
    torch.manual_seed(SEED)
    x, y = make_moons(800, noise=0.15, random_state=SEED)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    x = (x - x[:500].mean(0)) / x[:500].std(0)
    model, criterion = MoonNet(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    threshold = 0.5  #! threshold = 0.0
    for epoch in range(30):
        loss = run_epoch(model, optimizer, criterion, x[:500], y[:500])
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1} loss {loss:.4f} error {error_rate(model, x[500:], y[500:], threshold):.3f}")


main()
