"""Digits with a BatchNorm CNN; validation in the middle of the epoch, every few steps."""
# case: M01
# codes: mode.training-in-eval, mode.sticky
# split: rules

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
VALIDATE_EVERY = 8
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class ConvNet(nn.Module):
    def __init__(self, channels=(12, 24), classes=10, p=0.4):
        super().__init__()
        layers, last = [], 1
        for c in channels:
            layers += [nn.Conv2d(last, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            last = c
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(p), nn.Linear(last * 4, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def validate(model, loader, criterion):
    model.eval()  #@
    loss = correct = 0.0
    with torch.no_grad():
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            out = model(x)
            loss += criterion(out, y).item() * len(y)
            correct += (out.argmax(1) == y).sum().item()
    return loss / len(loader.dataset), correct / len(loader.dataset)


def main():
    torch.manual_seed(SEED)
    bunch = load_digits()
    x = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1)
    y = torch.tensor(bunch.target)
    order = torch.randperm(len(x))
    train_rows, val_rows = order[:1400], order[1400:]
    x = (x - x[train_rows].mean()) / x[train_rows].std()
    train_loader = DataLoader(TensorDataset(x[train_rows], y[train_rows]), batch_size=50, shuffle=True)
    val_loader = DataLoader(TensorDataset(x[val_rows], y[val_rows]), batch_size=200)

    model = ConvNet().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    step = 0
    for epoch in range(7):
        model.train()  #@
        for x_batch, y_batch in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x_batch.to(device)), y_batch.to(device))
            loss.backward()
            optimizer.step()
            step += 1
            if step % VALIDATE_EVERY == 0:
                val_loss, val_acc = validate(model, val_loader, criterion)  #@
                #+ model.train()
                if step % (4 * VALIDATE_EVERY) == 0:
                    print(f"epoch {epoch} step {step} train {loss.item():.3f} val {val_loss:.3f} acc {val_acc:.3f}")


main()
