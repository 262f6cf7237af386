"""Classify stored sensor waves: one array file per recording and a label list, a 1d convolution on top."""
# case: D06
# codes: data.inputs-labels-unpaired
# split: rules

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0


def export_recordings(folder, count=640, length=48):
    rng = np.random.default_rng(SEED)
    labels = rng.integers(0, 4, count)
    time = np.arange(length)
    for number, label in enumerate(labels):
        wave = np.sin(time * (0.25 + 0.2 * label) + rng.uniform(0, 6.28)) + rng.normal(0, 0.4, length)
        np.save(folder / f"rec_{number}.npy", wave.astype(np.float32))
    (folder / "labels.json").write_text(json.dumps(labels.tolist()))


def load_recordings(folder):
    labels = json.loads((folder / "labels.json").read_text())
    files = sorted(folder.glob("rec_*.npy"))  #! files = sorted(folder.glob("rec_*.npy"), key=lambda path: int(path.stem[4:]))
    waves = np.stack([np.load(path) for path in files])
    waves = (waves - waves.mean(1, keepdims=True)) / waves.std(1, keepdims=True)
    return TensorDataset(torch.from_numpy(waves)[:, None], torch.tensor(labels))  #@


torch.manual_seed(SEED)
with tempfile.TemporaryDirectory() as name:
    export_recordings(Path(name))
    dataset = load_recordings(Path(name))

train_part, val_part = random_split(dataset, [0.8, 0.2])
loaders = {
    "train": DataLoader(train_part, batch_size=32, shuffle=True),
    "val": DataLoader(val_part, batch_size=64),
}

model = nn.Sequential(
    nn.Conv1d(1, 16, 7, stride=2),
    nn.BatchNorm1d(16),
    nn.ReLU(),
    nn.Conv1d(16, 32, 5, stride=2),
    nn.BatchNorm1d(32),
    nn.ReLU(),
    nn.AdaptiveMaxPool1d(1),
    nn.Flatten(),
    nn.Linear(32, 4),
)
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)

for epoch in range(10):
    report = {}
    for phase, loader in loaders.items():
        model.train(phase == "train")
        loss_sum, hits, seen = 0.0, 0, 0
        for wave, label in loader:
            with torch.set_grad_enabled(phase == "train"):
                logits = model(wave)
                loss = nn.functional.cross_entropy(logits, label)
            if phase == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss_sum += loss.item() * len(label)
            hits += (logits.argmax(1) == label).sum().item()
            seen += len(label)
        report[phase] = f"loss {loss_sum / seen:.3f} acc {hits / seen:.3f}"
    print(epoch, report)
