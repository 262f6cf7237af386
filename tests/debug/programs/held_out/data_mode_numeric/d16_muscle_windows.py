"""Read hand movements from four-channel muscle signals; every window is standardised on its own, channel by channel."""
# case: D16
# codes: data.non-finite, data.constant-feature
# split: held-out

import torch
from torch import nn

SEED = 0
CHANNELS, SAMPLES, MOVES = 4, 50, 5


def muscle_signals(count):
    """Bursts of activity whose order over the channels gives the movement; a loose electrode sometimes reads nothing."""
    move = torch.randint(MOVES, (count,))
    t = torch.arange(SAMPLES).float()
    onset = torch.tensor([[5, 15, 25, 35], [35, 25, 15, 5], [5, 5, 35, 35], [35, 35, 5, 5], [20, 20, 20, 20.0]])
    start = onset[move] + 2.5 * torch.randn(count, CHANNELS)
    burst = torch.sigmoid(t - start[..., None]) * torch.sigmoid(start[..., None] + 12 - t)
    signal = 40 * (0.6 + torch.rand(count, CHANNELS, 1)) * burst + 5 * torch.randn(count, CHANNELS, SAMPLES)
    loose = torch.rand(count, CHANNELS) < 0.0005
    return signal.masked_fill(loose[..., None], 0.0), move


def standardise(window):
    mean = window.mean(dim=-1, keepdim=True)
    std = window.std(dim=-1, keepdim=True)  #! std = window.std(dim=-1, keepdim=True).clamp_min(1e-3)
    return (window - mean) / std  #@


def stream(signals, moves, batch):
    while True:
        for rows in torch.randperm(len(moves)).split(batch):
            yield standardise(signals[rows]), moves[rows]


class Patches(nn.Module):
    """Cuts the window into pieces of ten samples and mixes them as an MLP-mixer does."""

    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Linear(10 * CHANNELS, width)
        self.over_time = nn.Sequential(nn.Linear(5, 20), nn.GELU(), nn.Linear(20, 5))
        self.over_width = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.out = nn.Linear(width, MOVES)

    def forward(self, x):
        pieces = x.unfold(-1, 10, 10).transpose(1, 2).flatten(2)
        h = self.embed(pieces)
        h = h + self.over_time(h.mT).mT
        h = h + self.over_width(h)
        return self.out(h.mean(1))


torch.manual_seed(SEED)
signals, moves = muscle_signals(2500)
held_signals, held_moves = muscle_signals(300)
model = Patches()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()
supply = stream(signals, moves, 50)
average = None
for step in range(1, 301):
    x, y = next(supply)
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average = loss.item() if average is None else 0.95 * average + 0.05 * loss.item()
    if step % 30 == 0:
        with torch.no_grad():
            guess = model(standardise(held_signals)).argmax(1)
        print(f"step {step}: loss {average:.4f}, held-out {(guess == held_moves).float().mean().item():.3f}")
