"""Pretrain an encoder on calls of common birds, then fit a second head for rare birds recorded with another microphone."""
# case: M05
# codes: mode.frozen-statistics-drift
# split: held-out

import torch
from torch import nn
from torch.nn.functional import cross_entropy

SEED = 0


def calls(count, pitches, gain=1.0, floor=0.0):
    """Log spectrograms (24 bands, 20 frames): a call sweeps up or down from the pitch of its species."""
    species = torch.randint(len(pitches), (count,))
    frame, band = torch.arange(20.0), torch.arange(24.0)[:, None]
    pitch = torch.tensor(pitches)[species][:, None, None]
    sweep = torch.where(species % 2 == 0, 0.25, -0.25)[:, None, None]
    ridge = torch.exp(-((band - pitch - sweep * (frame - 10)) ** 2) / 3)
    return floor + gain * (2.5 * ridge - 0.3 + 1.1 * torch.randn(count, 24, 20)), species


def make_encoder():
    return nn.Sequential(
        nn.Conv1d(24, 32, 3), nn.BatchNorm1d(32), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(32, 32, 3), nn.BatchNorm1d(32), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
    )


def report(title, model, x, y):
    model.eval()
    with torch.no_grad():
        logits = model(x)
    right = (logits.argmax(1) == y).float().mean().item()
    print(f"{title}: loss {cross_entropy(logits, y).item():.4f}, accuracy {right:.3f}")


torch.manual_seed(SEED)
common, rare = [4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0], [5.0, 11.0, 16.0]
x, y = calls(1600, common)
x_common, y_common = calls(300, common)
microphone = {"gain": 2.0, "floor": 4.0}
x_new, y_new = calls(400, rare, **microphone)
x_rare, y_rare = calls(200, rare, **microphone)

encoder = make_encoder()
common_model = nn.Sequential(encoder, nn.Linear(32, len(common)))
optimizer = torch.optim.Adam(common_model.parameters(), lr=2e-3)
for _ in range(5):
    common_model.train()
    for rows in torch.randperm(len(x)).split(50):
        loss = cross_entropy(common_model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
report("common birds after pretraining", common_model, x_common, y_common)

encoder.requires_grad_(False)
rare_model = nn.Sequential(encoder, nn.Linear(32, len(rare)))
optimizer = torch.optim.Adam(rare_model[1].parameters(), lr=2e-2)
for epoch in range(10):
    rare_model.train()  #! rare_model[1].train()
    for rows in torch.randperm(len(x_new)).split(40):
        loss = cross_entropy(rare_model(x_new[rows]), y_new[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    report(f"epoch {epoch} (train {loss.item():.3f}), rare birds", rare_model, x_rare, y_rare)
report("common birds at the end", common_model, x_common, y_common)
