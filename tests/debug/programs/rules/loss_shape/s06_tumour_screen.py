"""Benign or malignant? A small network on the breast cancer table, with early stopping."""
# case: S06
# codes: metric.wrong
# split: rules

import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare():
    features, labels = load_breast_cancer(return_X_y=True)
    a, b, ya, yb = train_test_split(features, labels, test_size=0.25, random_state=SEED, stratify=labels)
    scaler = StandardScaler().fit(a)

    def pack(f, y):
        return TensorDataset(torch.tensor(scaler.transform(f), dtype=torch.float32), torch.tensor(y))

    return DataLoader(pack(a, ya), batch_size=16, shuffle=True), DataLoader(pack(b, yb), batch_size=64)


class Screen(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x)


def accuracy(logits, target):
    predicted = logits.argmax(dim=1)  #! predicted = (logits.squeeze(1) > 0).long()
    return (predicted == target).float().mean().item()  #@


class EarlyStopping:
    def __init__(self, patience):
        self.patience, self.best, self.bad = patience, float("inf"), 0

    def stop(self, loss):
        self.bad = 0 if loss < self.best else self.bad + 1
        self.best = min(self.best, loss)
        return self.bad >= self.patience


def epoch(model, loader, criterion, optimizer=None):
    model.train(optimizer is not None)
    losses, accuracies = [], []
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        with torch.set_grad_enabled(optimizer is not None):
            logits = model(x)
            loss = criterion(logits, y.float().unsqueeze(1))
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
        accuracies.append(accuracy(logits, y))
    return sum(losses) / len(losses), sum(accuracies) / len(accuracies)


def main():
    torch.manual_seed(SEED)
    train_loader, val_loader = prepare()
    model = Screen().to(device)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    stopper = EarlyStopping(patience=4)
    for number in range(1, 13):
        train_loss, train_acc = epoch(model, train_loader, criterion, optimizer)
        val_loss, val_acc = epoch(model, val_loader, criterion)
        print(f"{number:2d}: loss {train_loss:.4f}/{val_loss:.4f} accuracy {train_acc:.3f}/{val_acc:.3f}")
        if stopper.stop(val_loss):
            break


main()
