"""Monthly sunspot-like series, training and test windows; a small dilated network predicts the next value."""
# case: D18
# codes: data.split-overlap
# split: fresh
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


def series(n):
    t = torch.arange(n, dtype=torch.float32)
    cycle = torch.sin(2 * torch.pi * t / 33 + 0.8 * torch.sin(t / 70))
    return torch.relu(cycle + 0.4) + 0.12 * torch.randn(n)


class Windows(Dataset):
    def __init__(self, values, split, past=32):
        cut = int(0.6 * len(values))
        self.values = values[:cut] if split == "train" else values[cut:]
        self.past = past

    def __len__(self):
        return len(self.values) - self.past

    def __getitem__(self, i):
        return self.values[i : i + self.past].unsqueeze(0), self.values[i + self.past]


def get_loader(values, split, batch):
    return DataLoader(Windows(values, split), batch_size=batch, shuffle=split == "train")


def main(args):
    torch.manual_seed(SEED)
    values = series(500)
    fit_loader = get_loader(values, "train", args.batch)
    valid_loader = get_loader(values, "train", args.batch)  #! valid_loader = get_loader(values, "valid", args.batch)
    later = series(500)[200:]
    net = nn.Sequential(
        nn.Conv1d(1, 48, 3, dilation=1), nn.ReLU(), nn.Conv1d(48, 48, 3, dilation=2), nn.ReLU(), nn.Conv1d(48, 48, 3, dilation=4), nn.ReLU(), nn.Flatten(), nn.Linear(48 * 18, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0)
    )
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)
    for epoch in range(1, args.epochs + 1):
        net.train()
        for past, nxt in fit_loader:
            loss = nn.functional.mse_loss(net(past), nxt)
            opt.zero_grad()
            loss.backward()
            opt.step()
        net.eval()
        with torch.no_grad():
            err = [((net(past) - nxt) ** 2).mean() for past, nxt in valid_loader]  #@
        if epoch % 10 == 0:
            print(f"epoch {epoch}: valid mse {torch.stack(err).mean():.5f}")
    with torch.no_grad():
        windows = later.unfold(0, 33, 1)
        print(f"new series: mse {((net(windows[:, None, :32]) - windows[:, 32]) ** 2).mean():.5f}")


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=50)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--lr", type=float, default=1e-3)
    main(ap.parse_args())
