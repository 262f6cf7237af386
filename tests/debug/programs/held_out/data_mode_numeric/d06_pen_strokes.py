"""Recognise pen gestures that a tablet saved one file a gesture, with the labels in a separate text file."""
# case: D06
# codes: data.inputs-labels-unpaired
# split: held-out

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

SEED = 0
GESTURES = ["circle", "zigzag", "spiral", "hook"]

def draw(gesture, rng, points=40):
    t = np.linspace(0, 1, points)
    turn = rng.uniform(0, 2 * np.pi)
    if gesture == "circle":
        path = np.stack([np.cos(6.3 * t), np.sin(6.3 * t)])
    elif gesture == "zigzag":
        path = np.stack([2 * t - 1, np.abs((6 * t) % 2 - 1)])
    elif gesture == "spiral":
        path = np.stack([t * np.cos(12 * t), t * np.sin(12 * t)])
    else:
        path = np.stack([np.where(t < 0.6, 0, 2.5 * (t - 0.6)), np.minimum(t, 0.6) * 1.6])
    cos, sin = np.cos(turn), np.sin(turn)
    path = np.array([[cos, -sin], [sin, cos]]) @ path * rng.uniform(0.8, 1.2) + rng.normal(0, 0.05, (2, points))
    return (path - path.mean(1, keepdims=True)).astype(np.float32)


def save_session(folder, count, rng):
    names = rng.choice(GESTURES, count)
    for number, name in enumerate(names):
        np.save(folder / f"stroke_{number}.npy", draw(name, rng))
    (folder / "labels.txt").write_text("\n".join(names))


def load_session(folder):
    files = sorted(folder.glob("*.npy"))  #! files = sorted(folder.glob("*.npy"), key=lambda f: int(f.stem.split("_")[1]))
    strokes = torch.stack([torch.from_numpy(np.load(file)) for file in files])
    names = (folder / "labels.txt").read_text().split()
    return strokes, torch.tensor([GESTURES.index(name) for name in names])  #@


class StrokeNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.lift = nn.Conv1d(2, width, 5, padding=2)
        self.mix = nn.Conv1d(width, width, 5, padding=2)
        self.head = nn.Linear(2 * width, len(GESTURES))

    def forward(self, xy):
        h = torch.relu(self.mix(torch.relu(self.lift(xy))))
        return self.head(torch.cat((h.mean(-1), h.amax(-1)), -1))


def main():
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as tmp:
        save_session(Path(tmp), 900, np.random.default_rng(SEED))
        strokes, labels = load_session(Path(tmp))
    mixed = torch.randperm(len(labels))
    fit, check = mixed[:700], mixed[700:]
    net = StrokeNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(1, 11):
        net.train()
        losses = []
        for rows in fit[torch.randperm(len(fit))].split(35):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(strokes[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        net.eval()
        with torch.no_grad():
            accuracy = (net(strokes[check]).argmax(1) == labels[check]).float().mean()
        print(f"[{epoch:02d}] loss={sum(losses) / len(losses):.3f} accuracy={accuracy.item():.3f}")


main()
