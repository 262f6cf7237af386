"""Hand-gesture recognition from six motion channels: separable convolutions, global pooling, projection, classifier."""
# case: G10
# codes: model.too-small
# split: held-out
import math

import torch
from torch import nn

SEED = 0
N_GESTURES = 12


class SeparableConv(nn.Sequential):
    def __init__(self, c_in, c_out, stride=2):
        super().__init__(
            nn.Conv1d(c_in, c_in, 5, stride=stride, padding=2, groups=c_in, bias=False),
            nn.Conv1d(c_in, c_out, 1, bias=False),
            nn.BatchNorm1d(c_out),
            nn.ReLU6(),
        )


class GestureNet(nn.Module):
    def __init__(self, channels=6, dim=64, reduction=64):  #! def __init__(self, channels=6, dim=64, reduction=4):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(channels, 24, 5, padding=2), nn.ReLU6(),
            SeparableConv(24, 48), SeparableConv(48, dim), SeparableConv(dim, dim),
        )
        self.project = nn.Linear(dim, dim // reduction)  #@
        self.classify = nn.Linear(dim // reduction, N_GESTURES)

    def forward(self, motion):
        pooled = self.features(motion).mean(-1)
        return self.classify(torch.tanh(self.project(pooled)))


def perform(n, generator):
    """Every gesture is a fixed set of amplitudes and speeds on the six channels, done with some freedom."""
    fixed = torch.Generator().manual_seed(7)
    amplitude = torch.randn(N_GESTURES, 6, 1, generator=fixed)
    speed = 1 + 3 * torch.rand(N_GESTURES, 6, 1, generator=fixed)
    gesture = torch.randint(N_GESTURES, (n,), generator=generator)
    time = torch.linspace(0, 2 * math.pi, 40)
    tempo = 0.85 + 0.3 * torch.rand(n, 1, 1, generator=generator)
    start = 0.8 * torch.randn(n, 6, 1, generator=generator)
    motion = amplitude[gesture] * torch.sin(tempo * speed[gesture] * time + start)
    return motion + 0.25 * torch.randn(n, 6, 40, generator=generator), gesture


def iterate(motion, gesture, size, generator):
    order = torch.randperm(len(motion), generator=generator)
    for k in range(0, len(order) - size + 1, size):
        yield motion[order[k : k + size]], gesture[order[k : k + size]]


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    train, test = perform(1280, generator), perform(300, generator)
    net = GestureNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[6, 8], gamma=0.2)
    for epoch in range(10):
        net.train()
        for motion, gesture in iterate(*train, 64, generator):
            loss = criterion(net(motion), gesture)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        net.eval()
        with torch.no_grad():
            hits = [(net(motion).argmax(1) == gesture).float().mean() for motion, gesture in (train, test)]
        print(f"epoch {epoch} loss {loss.item():.3f} accuracy train {hits[0]:.3f} test {hits[1]:.3f}")
