"""Tremor forecasting with long windows, so the batch is gathered from eight micro-batches."""
# case: O14
# codes: step.accumulation-unscaled
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
GATHER = 8


class TremorNet(nn.Module):
    def __init__(self, width=40):
        super().__init__()
        self.down = nn.Sequential(nn.Conv1d(1, 8, 8, stride=4), nn.ReLU(), nn.Conv1d(8, 12, 4, stride=2), nn.ReLU(), nn.Flatten())
        self.fc = nn.Sequential(nn.Linear(12 * 11, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x):
        return self.fc(self.down(x)).squeeze(1)


def tremor(n, g):
    t = torch.arange(100) / 25
    a, f = 0.4 + torch.rand(n, 1, generator=g), 0.5 + torch.rand(n, 1, generator=g)
    grow = 0.1 * torch.randn(n, 1, generator=g)
    w = a * torch.exp(grow * t) * torch.sin(2 * torch.pi * f * t) + 0.08 * torch.randn(n, 100, generator=g)
    return w[:, None], (a * torch.exp(grow * 4.4)).squeeze(1)


def main():
    g = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    loader = DataLoader(TensorDataset(*tremor(1024, g)), batch_size=8, shuffle=True, generator=g)
    xv, yv = tremor(300, g)
    net = TremorNet()
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.8)
    for epoch in range(1, 16):
        opt.zero_grad()
        total = 0.0
        for k, (x, y) in enumerate(loader):
            loss = nn.functional.mse_loss(net(x), y)  #@
            total += loss.item()
            loss.backward()  #! (loss / GATHER).backward()
            if (k + 1) % GATHER == 0:
                opt.step()  #@
                opt.zero_grad()
        with torch.no_grad():
            val = nn.functional.mse_loss(net(xv), yv).item()
        if epoch % 3 == 0:
            print(f"epoch {epoch:2d}  train {total / len(loader):.4f}  val {val:.4f}  (target variance {yv.var():.3f})")


if __name__ == "__main__":
    main()
