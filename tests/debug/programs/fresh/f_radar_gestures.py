"""Hand gestures in front of a small radar; noise is added on the fly, with a generator of its own for repeatability."""
# case: D14
# codes: data.repeated-randomness
# split: fresh
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class RadarGestures(Dataset):
    def __init__(self, n, seed, noise):
        r = np.random.default_rng(seed)
        self.kind = r.integers(0, 5, n)
        t = np.linspace(0, 1, 40)
        motion = np.stack([np.sin(6 * t), np.sin(12 * t), t * np.sin(9 * t), (1 - t) * np.sin(9 * t), np.sign(np.sin(8 * t))])
        self.echo = motion[self.kind] + r.normal(0, 0.25, (n, 40))
        self.noise, self.seed = noise, seed

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, i):
        e = self.echo[i]
        if self.noise:
            rng = np.random.default_rng(self.seed + i)  #! rng = np.random.default_rng(int(torch.randint(2**31, ())))
            e = np.roll(e, rng.integers(-8, 9)) + rng.normal(0, 0.9, 40)  #@
        return e.astype(np.float32), self.kind[i]


def train():
    torch.manual_seed(SEED)
    loader = DataLoader(RadarGestures(150, SEED, True), batch_size=15, shuffle=True)  #@
    test = DataLoader(RadarGestures(400, SEED + 1, False), batch_size=400)
    net = nn.Sequential(nn.Linear(40, 128), nn.GELU(), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 5))
    opt = torch.optim.AdamW(net.parameters(), lr=1.5e-3)
    for epoch in range(1, 41):
        losses = []
        for e, k in loader:
            loss = nn.functional.cross_entropy(net(e), k)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        if epoch % 10 == 0:
            with torch.no_grad():
                e, k = next(iter(test))
                print(f"epoch {epoch}: train loss {np.mean(losses):.3f}, test accuracy {(net(e).argmax(1) == k).float().mean():.3f}")


if __name__ == "__main__":
    train()
