"""Range sweeps of a small robot (corridor, corner, hall, door); sweeps are cached and jittered when they are read."""
# case: D15
# codes: data.mutated-in-place
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
BEAMS = 36


class Sweeps(Dataset):
    """Keeps all sweeps in memory; each read turns the sweep a little and adds sensor noise."""

    def __init__(self, n, jitter):
        self.place = torch.randint(0, 4, (n,))
        a = torch.linspace(0, 2 * torch.pi, BEAMS)
        depth = torch.stack([1 + a.cos().abs() * 1.5, 1 + torch.relu(a.cos()) * 1.5 + torch.relu(a.sin()) * 1.5, torch.full((BEAMS,), 1.9), 1 + 2.2 * (a.cos() > 0.9)])
        self.sweep = depth[self.place] + 0.3 * torch.randn(n, 1) + 0.4 * torch.randn(n, BEAMS)
        self.jitter = jitter

    def __len__(self):
        return len(self.place)

    def __getitem__(self, i):
        s = self.sweep[i]  #! s = self.sweep[i].clone()
        if self.jitter:
            s += 0.6 * torch.randn(BEAMS)  #@
            s *= 1 + 0.15 * torch.randn(())  #@
        return s, self.place[i]


def build():
    return nn.Sequential(nn.Linear(BEAMS, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 4))


torch.manual_seed(SEED)
train_dl = DataLoader(Sweeps(500, True), batch_size=25, shuffle=True)
test_dl = DataLoader(Sweeps(300, False), batch_size=300)
net = build()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(1, 31):
    net.train()
    mean = 0.0
    for s, place in train_dl:
        loss = nn.functional.cross_entropy(net(s), place)
        opt.zero_grad()
        loss.backward()
        opt.step()
        mean += loss.item() / len(train_dl)
    if epoch % 5 == 0:
        net.eval()
        with torch.no_grad():
            s, place = next(iter(test_dl))
            print("epoch", epoch, "loss %.3f" % mean, "test accuracy %.3f" % (net(s).argmax(1) == place).float().mean())
