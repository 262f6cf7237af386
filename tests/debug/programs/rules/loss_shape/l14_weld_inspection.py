"""Grade welds from sensor readings; rare defects get larger weights in the loss."""
# case: L14
# codes: loss.class-weight-order
# split: rules

from collections import Counter

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
CLASSES = ["sound", "porous", "cracked", "burnt"]
SHARE = [0.90, 0.05, 0.03, 0.02]


def read_log(count, rng, centres):
    """Readings and the inspector's verdicts, as the inspection log has them."""
    labels = rng.choice(CLASSES, size=count, p=SHARE)
    index = np.array([CLASSES.index(label) for label in labels])
    return centres[index] + rng.normal(0, 1.0, (count, centres.shape[1])), labels


def inverse_frequency(labels):
    counts = Counter(labels.tolist())
    frequency = np.array([counts[name] for name in sorted(counts)])  #! frequency = np.array([counts[name] for name in CLASSES])
    weights = len(labels) / (len(CLASSES) * frequency)  #@
    return torch.tensor(weights, dtype=torch.float32)


def to_dataset(readings, labels):
    targets = torch.tensor([CLASSES.index(label) for label in labels])
    return TensorDataset(torch.tensor(readings, dtype=torch.float32), targets)


def build(inputs, hidden=32):
    net = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, len(CLASSES)))
    nn.init.zeros_(net[-1].bias)
    return net


def main():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    centres = rng.normal(0, 0.9, (len(CLASSES), 8))
    train_x, train_y = read_log(4000, rng, centres)
    val_x, val_y = read_log(2000, rng, centres)
    loader = DataLoader(to_dataset(train_x, train_y), batch_size=128, shuffle=True)
    val = to_dataset(val_x, val_y)

    model = build(train_x.shape[1])
    criterion = nn.CrossEntropyLoss(weight=inverse_frequency(train_y))  #@
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(8):
        model.train()
        losses = []
        for x, y in loader:
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            guess = model(val.tensors[0]).argmax(1)
        recall = recall_score(val.tensors[1], guess, average=None, labels=range(len(CLASSES)), zero_division=0)
        shown = "  ".join(f"{name} {r:.2f}" for name, r in zip(CLASSES, recall, strict=True))
        print(f"epoch {epoch + 1} loss {np.mean(losses):.4f} recall: {shown}")


main()
