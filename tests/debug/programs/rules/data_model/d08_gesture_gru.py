"""Recognise twelve numbered hand gestures from a three-axis accelerometer with a GRU."""
# case: D08
# codes: data.class-order
# split: rules

import numpy as np
import torch
from sklearn.preprocessing import LabelEncoder
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
GESTURES = [str(number) for number in range(12)]


def capture(count, seed):
    """Recordings (time, axis) and the name of the gesture in each of them."""
    shapes = np.random.default_rng(7)
    strength, pace, shift = shapes.uniform(-1.5, 1.5, (12, 3)), shapes.uniform(0.1, 0.5, (12, 3)), shapes.uniform(0, 6, (12, 3))
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 12, count)
    time = np.arange(30)[None, :, None]
    signal = strength[kinds, None] * np.sin(time * pace[kinds, None] + shift[kinds, None])
    signal = signal + rng.normal(0, 0.35, signal.shape)
    return signal.astype(np.float32), [GESTURES[kind] for kind in kinds]


class GestureDataset(Dataset):
    def __init__(self, signals, labels):
        self.signals = torch.from_numpy(signals)
        self.labels = torch.as_tensor(labels, dtype=torch.long)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"signal": self.signals[i], "label": self.labels[i]}


class GestureNet(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.gru = nn.GRU(3, hidden, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, len(GESTURES))

    def forward(self, signal):
        states, _ = self.gru(signal)
        return self.head(self.norm(states.mean(1)))


torch.manual_seed(SEED)
train_signals, train_names = capture(1200, SEED + 100)
val_signals, val_names = capture(300, SEED + 200)
encoder = LabelEncoder().fit(GESTURES)
train_set = GestureDataset(train_signals, encoder.transform(train_names))  #@
val_set = GestureDataset(val_signals, [int(name) for name in val_names])  #! val_set = GestureDataset(val_signals, encoder.transform(val_names))

train_loader = DataLoader(train_set, batch_size=48, shuffle=True, drop_last=True)
val_loader = DataLoader(val_set, batch_size=100)
model = GestureNet()
epochs = 8
optimizer = torch.optim.Adam(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=epochs * len(train_loader))

for epoch in range(epochs):
    model.train()
    for batch in train_loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch["signal"]), batch["label"])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(batch["signal"]).argmax(1) == batch["label"]).sum().item() for batch in val_loader)
    print(f"{epoch=} train loss {loss.item():.3f} val acc {right / len(val_set):.3f}")
