"""Breast-cancer table, binary classification, step-wise learning-rate decay."""
# case: double
# codes: data.unscaled-input
# also: step.schedule-mistimed
# split: rules

from types import SimpleNamespace

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
cfg = SimpleNamespace(hidden=32, lr=0.05, step_size=8, gamma=0.2, epochs=20, batch=16)


def loaders():
    x, y = load_breast_cancer(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    train, test = train_test_split(range(len(x)), test_size=0.25, random_state=SEED)
    #+ x = (x - x[train].mean(0)) / x[train].std(0)
    return (
        DataLoader(TensorDataset(x[train], y[train]), batch_size=cfg.batch, shuffle=True),  #@
        DataLoader(TensorDataset(x[test], y[test]), batch_size=64),
    )


def build(inputs):
    return nn.Sequential(nn.Linear(inputs, cfg.hidden), nn.ReLU(), nn.Linear(cfg.hidden, 1), nn.Flatten(0))


def test(net, loader):
    net.eval()
    loss = hits = count = 0.0
    with torch.no_grad():
        for x, y in loader:
            out = net(x)
            loss += nn.functional.binary_cross_entropy_with_logits(out, y, reduction="sum").item()
            hits += ((out > 0) == (y > 0.5)).sum().item()
            count += len(y)
    return loss / count, hits / count


torch.manual_seed(SEED)
train_loader, test_loader = loaders()
net = build(30)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=cfg.lr)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=cfg.step_size, gamma=cfg.gamma)  #@
for epoch in range(cfg.epochs):
    net.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y)  #@
        loss.backward()
        optimizer.step()
        scheduler.step()  #!
    #+ scheduler.step()
    if epoch % 4 == 3:
        test_loss, accuracy = test(net, test_loader)
        print(f"epoch {epoch + 1}: train {loss.item():.4f} test {test_loss:.4f} accuracy {accuracy:.3f} lr {optimizer.param_groups[0]['lr']:.1e}")
