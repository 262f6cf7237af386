"""Identify substances from spectra; training spectra get fresh noise each time they are read."""
# case: double
# codes: data.mutated-in-place
# also: loss.wrong-space-into-nll
# split: rules

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
BINS, SUBSTANCES = 64, 6


def spectra(n, lines):
    kind = torch.randint(SUBSTANCES, (n,))
    axis = torch.arange(BINS, dtype=torch.float32)
    centre = lines[kind] + 0.8 * torch.randn(n, lines.shape[1])
    peaks = torch.exp(-((axis - centre.unsqueeze(-1)) ** 2) / 6)
    signal = (peaks * (0.6 + 0.8 * torch.rand(n, lines.shape[1], 1))).sum(1)
    return signal + 0.15 * torch.randn(n, BINS), kind


class Spectra(Dataset):
    def __init__(self, x, kind, noise=0.0):
        self.x, self.kind, self.noise = x, kind, noise

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, i):
        spectrum = self.x[i]
        if self.noise:
            spectrum += self.noise * torch.randn(BINS)  #! spectrum = spectrum + self.noise * torch.randn(BINS)
        return spectrum, self.kind[i]


class Identify(nn.Module):
    def __init__(self):
        super().__init__()
        self.filter = nn.Sequential(nn.Conv1d(1, 8, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2))
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(8 * BINS // 2, 48), nn.ReLU(), nn.Linear(48, SUBSTANCES))

    def forward(self, x):
        return self.read(self.filter(x.unsqueeze(1))).softmax(-1)  #! return self.read(self.filter(x.unsqueeze(1))).log_softmax(-1)


torch.manual_seed(SEED)
lines = torch.rand(SUBSTANCES, 3) * (BINS - 10) + 5
x, kind = spectra(1100, lines)
train = DataLoader(Spectra(x[:800], kind[:800], noise=0.8), batch_size=32, shuffle=True)
valid = DataLoader(Spectra(x[800:], kind[800:]), batch_size=100)
net, criterion = Identify(), nn.NLLLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(12):
    net.train()
    total = 0.0
    for spectrum, label in train:
        optimizer.zero_grad()
        loss = criterion(net(spectrum), label)  #@
        loss.backward()
        optimizer.step()
        total += loss.item() * len(label)
    net.eval()
    with torch.no_grad():
        right = sum((net(s).argmax(1) == label).sum().item() for s, label in valid)
    print(f"epoch {epoch + 1:2d}: loss {total / 800:.4f} accuracy {right / 300:.3f}")
