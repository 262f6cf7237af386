"""Kinds of ships from their tracks (speed, turn, distance to coast) with a transformer encoder."""
# case: S03
# codes: shape.batch-first
# split: fresh
import math

import torch
from torch import nn

SEED = 0
STEPS, KINDS = 20, 3


def tracks(n):
    kind = torch.randint(KINDS, (n,))
    t = torch.arange(STEPS).float()
    phase = 6.28 * torch.rand(n, 1)
    rate = torch.tensor([0.4, 0.8, 1.3])[kind][:, None] + 0.05 * torch.randn(n, 1)
    speed = torch.sin(rate * t + phase)
    turn = torch.cos(rate * t + phase) * torch.where(torch.rand(n, 1) < 0.5, 1.0, -1.0)
    coast = torch.cumsum(0.3 * torch.randn(n, STEPS), 1)
    return torch.stack([speed, turn, coast], -1) + 0.3 * torch.randn(n, STEPS, 3), kind


class TrackEncoder(nn.Module):
    def __init__(self, d=32, heads=4, depth=2):
        super().__init__()
        self.lift = nn.Linear(3, d)
        angle = torch.arange(STEPS)[:, None] * torch.exp(-math.log(1e3) * torch.arange(0, d, 2) / d)
        self.register_buffer("position", torch.cat([angle.sin(), angle.cos()], 1))
        layer = nn.TransformerEncoderLayer(d, heads, dim_feedforward=64, dropout=0.0)  #! layer = nn.TransformerEncoderLayer(d, heads, dim_feedforward=64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)  #@
        self.out = nn.Linear(d, KINDS)

    def forward(self, x):
        h = self.encoder(self.lift(x) + self.position)  #@
        return self.out(h.mean(1))


def main(epochs=16, batch=32, lr=2e-3):
    torch.manual_seed(SEED)
    x, y = tracks(640)
    xv, yv = tracks(160)
    model = TrackEncoder()
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    for e in range(epochs):
        model.train()
        s = 0.0
        for i in torch.randperm(len(x)).split(batch):
            loss = nn.functional.cross_entropy(model(x[i]), y[i])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            s += loss.item()
        model.eval()
        with torch.inference_mode():
            ok = torch.cat([model(v).argmax(1) for v in xv.split(batch)]) == yv
        print(f"epoch {e + 1:2d}: train {s * batch / len(x):.3f}, valid {ok.float().mean():.3f}")


if __name__ == "__main__":
    main()
