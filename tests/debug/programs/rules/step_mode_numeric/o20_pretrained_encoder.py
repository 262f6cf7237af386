"""Pre-train an encoder to name digits, save it, and fine-tune it to find the primes from eighty examples."""
# case: O20
# codes: step.checkpoint-not-loaded
# split: rules

import tempfile
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = 0


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.proj = nn.Linear(32 * 4, 48)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.proj(x.flatten(1)))


class PretrainTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        return self.head(self.encoder(x))


def steps(model, optimizer, x, y, count, batch, label):
    for i in range(count):
        rows = torch.randint(len(x), (batch,))
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (i + 1) % (count // 4) == 0:
            print(f"{label} {i + 1}: {loss.item():.4f}")


def score(model, x, y):
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def main(folder):
    torch.manual_seed(SEED)
    bunch = load_digits()
    order = torch.randperm(len(bunch.target))
    x = (torch.tensor(bunch.images, dtype=torch.float32)[order, None] / 16 - 0.3) / 0.37
    y = torch.tensor(bunch.target)[order]

    task = PretrainTask()
    steps(task, torch.optim.Adam(task.parameters(), 2e-3), x[:900], y[:900], 240, 64, "pretrain")
    torch.save(task.state_dict(), folder / "pretrained.pt")

    encoder = Encoder()
    state = torch.load(folder / "pretrained.pt")
    #+ state = {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}
    encoder.load_state_dict(state, strict=False)  #! encoder.load_state_dict(state)
    model = nn.Sequential(encoder, nn.Linear(48, 2))
    optimizer = torch.optim.Adam([{"params": encoder.parameters(), "lr": 1e-4}, {"params": model[1].parameters()}], lr=3e-3)
    prime = torch.isin(y, torch.tensor([2, 3, 5, 7])).long()
    steps(model, optimizer, x[900:980], prime[900:980], 80, 40, "finetune")
    print(f"held-out accuracy: {score(model, x[980:], prime[980:]):.4f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
