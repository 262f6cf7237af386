"""Recognise the shape of a noisy waveform (sine, square, saw, ...) with a 1-D convolution network."""
# case: L07
# codes: loss.mismatched-task
# split: held-out
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SEED = 0
SHAPES = {
    "sine": np.sin,
    "square": lambda p: np.sign(np.sin(p)),
    "saw": lambda p: (p / np.pi) % 2 - 1,
    "reverse saw": lambda p: 1 - (p / np.pi) % 2,
    "pulse": lambda p: 4.0 * (np.cos(p) > 0.85) - 0.7,
    "rectified": lambda p: 2 * np.abs(np.sin(p)) - 1.3,
    "triangle": lambda p: 2 / np.pi * np.arcsin(np.sin(p)),
    "two tones": lambda p: 0.7 * (np.sin(p) + np.sin(3 * p + 1)),
}


def generate(n, rng, length=96):
    kind = rng.integers(0, len(SHAPES), n)
    phase = rng.uniform(0, 2 * np.pi, (n, 1)) + np.arange(length) * rng.uniform(0.25, 0.4, (n, 1))
    wave = np.stack([list(SHAPES.values())[k](p) for k, p in zip(kind, phase)])
    wave = wave + 0.15 * rng.standard_normal(wave.shape)
    return torch.tensor(wave[:, None], dtype=torch.float32), torch.tensor(kind)


class WaveNetSmall(nn.Module):
    def __init__(self, n_shapes):
        super().__init__()
        widths = [1, 16, 24, 32]
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 7, stride=2) for a, b in zip(widths, widths[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for b in widths[1:])
        self.fc = nn.Linear(widths[-1], n_shapes)

    def forward(self, wave):
        for conv, norm in zip(self.convs, self.norms):
            wave = F.relu(norm(conv(wave)))
        return self.fc(wave.mean(dim=-1))


def loss_fn(out, kind):
    onehot = F.one_hot(kind, len(SHAPES)).float()
    return F.mse_loss(torch.sigmoid(out), onehot)  #! return -(onehot * F.log_softmax(out, dim=1)).sum(dim=1).mean()


class Trainer:
    def __init__(self, net, lr, batch):
        self.net, self.batch = net, batch
        self.optimizer = torch.optim.SGD(net.parameters(), lr=lr)  #@

    def epoch(self, x, y):
        self.net.train()
        losses = []
        for rows in torch.randperm(len(x)).split(self.batch):
            self.optimizer.zero_grad()
            loss = loss_fn(self.net(x[rows]), y[rows])
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.inference_mode()
    def evaluate(self, x, y):
        self.net.eval()
        out = self.net(x)
        return loss_fn(out, y).item(), (out.argmax(1) == y).float().mean().item()


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
train, val = generate(1024, rng), generate(256, rng)
trainer = Trainer(WaveNetSmall(len(SHAPES)), lr=0.05, batch=32)
for epoch in range(1, 9):
    train_loss = trainer.epoch(*train)
    print("epoch %d loss %.4f val_loss %.4f val_acc %.3f" % (epoch, train_loss, *trainer.evaluate(*val)))
