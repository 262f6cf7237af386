"""Classify short three-axis gestures with a recurrent network; options come from the command line."""
# case: double
# codes: shape.batch-first, shape.samples-mixed
# also: step.learning-rate-too-low
# split: held-out

import argparse
import math

import torch
from torch import nn

SEED = 0


def gestures(n, steps=20):
    kind = torch.randint(4, (n,))
    t = torch.linspace(0, 1, steps)
    phase = 0.6 * torch.rand(n, 1)
    up = torch.stack([t.expand(n, -1), torch.sin(2 * math.pi * (t + phase)), torch.cos(2 * math.pi * (t + phase))], 2)
    flip = torch.where(kind % 2 == 0, 1.0, -1.0).view(-1, 1, 1)
    fast = torch.where(kind < 2, 0.4, 1.2).view(-1, 1, 1)
    return flip * fast * (up - torch.tensor([0.5, 0.0, 0.0])) + 0.3 * torch.randn(n, steps, 3), kind


class GestureNet(nn.Module):
    def __init__(self, hidden, layers):
        super().__init__()
        self.recurrent = nn.GRU(3, hidden, layers)  #! self.recurrent = nn.GRU(3, hidden, layers, batch_first=True)
        self.classify = nn.Linear(hidden, 4)

    def forward(self, x):
        out, _ = self.recurrent(x)  #@
        return self.classify(out[:, -1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-6)  #! parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--steps", type=int, default=250)
    args = parser.parse_args()
    torch.manual_seed(SEED)
    x, y = gestures(1500)
    x_val, y_val = gestures(300)
    net = GestureNet(args.hidden, args.layers)
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.lr)  #@
    for step in range(1, args.steps + 1):
        idx = torch.randperm(len(x))[:32]
        loss = nn.functional.cross_entropy(net(x[idx]), y[idx], label_smoothing=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            net.eval()
            with torch.no_grad():
                accuracy = (net(x_val).argmax(1) == y_val).float().mean()
            net.train()
            print(f"step {step}: {loss.item():.4f}, validation accuracy {accuracy:.3f}")


main()
