"""Breast-cancer diagnosis from thirty measurements, normalised network."""
# case: M04
# codes: mode.batchnorm-tiny-batch
# split: rules

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
config = dict(
    batch_size=2,  #! batch_size=32,
    hidden=(32, 16),
    lr=1e-2,
    weight_decay=1e-3,
    steps=300,
    log_every=50,
)


def build_network(n_inputs, hidden):
    modules, width = [], n_inputs
    for size in hidden:
        modules.extend((nn.Linear(width, size, bias=False), nn.BatchNorm1d(size), nn.LeakyReLU()))  #@
        width = size
    return nn.Sequential(*modules, nn.Linear(width, 1), nn.Flatten(0))


def endless(loader):
    while True:
        yield from loader


def metrics(network, x, y):
    network.eval()
    with torch.no_grad():
        logit = network(x)
        loss = nn.functional.binary_cross_entropy_with_logits(logit, y)
    network.train()
    return loss.item(), ((logit > 0).float() == y).float().mean().item()


def main():
    torch.manual_seed(SEED)
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(
        x.astype(np.float32), y.astype(np.float32), test_size=0.3, random_state=SEED, stratify=y
    )
    mean, std = x_train.mean(0), x_train.std(0)
    x_train, x_val = (torch.from_numpy((part - mean) / std) for part in (x_train, x_val))
    y_train, y_val = torch.from_numpy(y_train), torch.from_numpy(y_val)

    loader = DataLoader(TensorDataset(x_train, y_train), config["batch_size"], shuffle=True, drop_last=True)  #@
    network = build_network(x_train.shape[1], config["hidden"])
    optimizer = torch.optim.AdamW(network.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    running = []
    for step, (xb, yb) in enumerate(endless(loader), start=1):
        loss = nn.functional.binary_cross_entropy_with_logits(network(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running.append(loss.item())
        if step % config["log_every"] == 0:
            val_loss, val_accuracy = metrics(network, x_val, y_val)
            print(f"{step:4d} train {np.mean(running[-50:]):.4f} val {val_loss:.4f} acc {val_accuracy:.4f}")
        if step == config["steps"]:
            break


main()
