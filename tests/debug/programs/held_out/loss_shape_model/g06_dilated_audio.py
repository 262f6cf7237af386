"""WaveNet-like model: dilated convolutions predict the next of 16 quantised levels of a noisy tone."""
# case: G06
# codes: model.future-leak
# split: held-out
import math

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
LEVELS = 16


def tones(n, length, gen):
    t = torch.arange(length).float()
    pitch = 0.15 + 0.35 * torch.rand(n, 1, generator=gen)
    wave = torch.sin(pitch * t + 2 * math.pi * torch.rand(n, 1, generator=gen))
    wave = wave + 0.25 * torch.randn(n, length, generator=gen)
    return ((wave.clamp(-1.4, 1.4) + 1.4) / 2.8 * (LEVELS - 1)).round().long()


class DilatedConv(nn.Conv1d):
    """Convolution over time that keeps the length."""

    def __init__(self, c_in, c_out, kernel_size, dilation):
        super().__init__(c_in, c_out, kernel_size, dilation=dilation)
        self.reach = (kernel_size - 1) * dilation

    def forward(self, x):
        x = F.pad(x, (self.reach // 2, self.reach - self.reach // 2))  #! x = F.pad(x, (self.reach, 0))
        return super().forward(x)


class GatedBlock(nn.Module):
    def __init__(self, channels, dilation):
        super().__init__()
        self.conv = DilatedConv(channels, 2 * channels, 3, dilation)
        self.skip = nn.Conv1d(channels, channels, 1)

    def forward(self, x):
        signal, gate = self.conv(x).chunk(2, dim=1)
        y = torch.tanh(signal) * torch.sigmoid(gate)
        return x + self.skip(y), y


class Wave(nn.Module):
    def __init__(self, channels=24, dilations=(1, 2, 4, 8)):
        super().__init__()
        self.embed = nn.Embedding(LEVELS, channels)
        self.blocks = nn.ModuleList(GatedBlock(channels, d) for d in dilations)
        self.out = nn.Sequential(nn.ReLU(), nn.Conv1d(channels, LEVELS, 1))

    def forward(self, levels):
        x, collected = self.embed(levels).transpose(1, 2), 0
        for block in self.blocks:
            x, y = block(x)
            collected = collected + y
        return self.out(collected + x)


def bits(model, levels):
    return F.cross_entropy(model(levels[:, :-1]), levels[:, 1:]) / math.log(2)


gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
train, test = tones(600, 81, gen), tones(100, 81, gen)
model = Wave()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
for step in range(181):
    model.train()
    loss = bits(model, train[torch.randint(len(train), (20,), generator=gen)])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    if step % 30 == 0:
        model.eval()
        with torch.no_grad():
            print(f"step {step:3d} bits per sample: train {loss.item():.3f} test {bits(model, test).item():.3f}")
