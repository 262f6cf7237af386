"""Tell speakers apart with statistics pooling (mean and deviation over time), as in x-vector networks."""
# case: N01
# codes: numeric.non-finite-gradient
# split: held-out

import torch
from torch import nn

SEED = 0
SPEAKERS, BANDS, FRAMES = 8, 20, 40
torch.manual_seed(SEED)


def utterances(count, voices):
    who = torch.randint(SPEAKERS, (count,))
    mean, spread = voices[0][who], voices[1][who]
    frames = mean[..., None] + spread[..., None] * torch.randn(count, BANDS, FRAMES)
    return frames, who


class StatisticsPooling(nn.Module):
    def forward(self, x):
        mean = x.mean(dim=-1)
        spread = x.var(dim=-1).sqrt()  #! spread = (x.var(dim=-1) + 1e-5).sqrt()
        return torch.cat([mean, spread], dim=1)


class SpeakerNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(BANDS, width, 5), nn.ReLU(),
            nn.Conv1d(width, width, 3, dilation=2), nn.ReLU(),
            nn.Conv1d(width, 2 * width, 1), nn.ReLU(), nn.BatchNorm1d(2 * width),
        )
        self.pool = StatisticsPooling()
        self.segment = nn.Sequential(nn.Linear(4 * width, width), nn.ReLU(), nn.Linear(width, SPEAKERS))

    def forward(self, x):
        return self.segment(self.pool(self.frames(x)))


def epochs(x, y, number, size):
    for epoch in range(number):
        order = torch.randperm(len(x))
        yield epoch, zip(x[order].split(size), y[order].split(size))


voices = 0.8 * torch.randn(SPEAKERS, BANDS), 0.3 + 0.5 * torch.rand(SPEAKERS, BANDS)
x, who = utterances(960, voices)
x_valid, who_valid = utterances(240, voices)
net = SpeakerNet()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch, pairs in epochs(x, who, 8, 40):
    net.train()
    losses = []
    for frames, speaker in pairs:
        loss = nn.functional.cross_entropy(net(frames), speaker)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        right = (net(x_valid).argmax(1) == who_valid).float().mean().item()
    print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}, validation accuracy {right:.3f}")
