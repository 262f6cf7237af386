"""Air quality classes from six gas sensors: class-based pipeline with a transform for each stage."""
# case: D03
# codes: data.split-preprocessing
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class GasReadings(Dataset):
    def __init__(self, n, generator, transform=None):
        self.level = torch.randint(0, 3, (n,), generator=generator)
        base = torch.tensor([40.0, 18.0, 900.0, 3.0, 220.0, 60.0])
        gain = torch.tensor([[0.9, 1.0, 0.95, 1.1, 1.0, 0.8], [1.0, 1.1, 1.0, 1.0, 1.1, 1.0], [1.2, 1.0, 1.1, 0.9, 1.0, 1.3]])
        self.ppm = base * gain[self.level] * torch.exp(0.12 * torch.randn(n, 6, generator=generator))
        self.transform = transform

    def __len__(self):
        return len(self.level)

    def __getitem__(self, i):
        ppm = self.ppm[i]
        return (self.transform(ppm) if self.transform else ppm), self.level[i]


class Standardise:
    def __init__(self, data):
        self.mean, self.std = data.mean(0), data.std(0)

    def __call__(self, v):
        return (v - self.mean) / self.std


def evaluate(net, loader):
    net.eval()
    hit = seen = 0
    with torch.no_grad():
        for v, level in loader:
            hit += (net(v).argmax(1) == level).sum().item()
            seen += len(level)
    return hit / seen


def main():
    g = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    train, val = GasReadings(1200, g), GasReadings(300, g)
    train.transform = Standardise(train.ppm)
    #+ val.transform = train.transform
    train_dl = DataLoader(train, batch_size=40, shuffle=True)
    val_dl = DataLoader(val, batch_size=100)  #@
    net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(10):
        net.train()
        total = 0.0
        for v, level in train_dl:
            loss = nn.functional.cross_entropy(net(v), level)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} loss {total / len(train_dl):.3f} train {evaluate(net, train_dl):.3f} val {evaluate(net, val_dl):.3f}")  #@


if __name__ == "__main__":
    main()
