"""Predict the frequency class of noisy waves with a GRU encoder."""
# case: O08
# codes: step.graph-cut
# split: rules

import math

import torch
from torch import nn

SEED = 0
STEPS, BATCH, LENGTH = 200, 64, 30


class WaveEncoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)

    def forward(self, wave):
        states, _ = self.gru(wave.unsqueeze(-1))
        return torch.cat([states.mean(1), states[:, -1]], dim=-1)


class WaveModel(nn.Module):
    def __init__(self, hidden=24, classes=4):
        super().__init__()
        self.encoder = WaveEncoder(hidden)
        self.classifier = nn.Sequential(nn.Linear(2 * hidden, 32), nn.ReLU(), nn.Linear(32, classes))

    def encode(self, wave):
        code = self.encoder(wave).data  #! code = self.encoder(wave)
        return code / code.norm(dim=-1, keepdim=True)

    def forward(self, wave):
        return self.classifier(self.encode(wave) * 4.0)  #@


def waves(n):
    kind = torch.randint(4, (n,))
    t = torch.linspace(0, 4 * math.pi, LENGTH)
    frequency = torch.tensor([0.6, 0.9, 1.3, 1.8])[kind][:, None]
    phase = 2 * math.pi * torch.rand(n, 1)
    return torch.sin(frequency * t + phase) + 0.3 * torch.randn(n, LENGTH), kind


def main():
    torch.manual_seed(SEED)
    model = WaveModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    x_val, y_val = waves(500)
    for step in range(1, STEPS + 1):
        x, y = waves(BATCH)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 40 == 0:
            with torch.no_grad():
                scores = model(x_val)
            print(f"[{step:3d}/{STEPS}] loss={loss.item():.3f} "
                  f"val_loss={criterion(scores, y_val).item():.3f} "
                  f"val_acc={(scores.argmax(-1) == y_val).float().mean().item():.3f}")


if __name__ == "__main__":
    main()
