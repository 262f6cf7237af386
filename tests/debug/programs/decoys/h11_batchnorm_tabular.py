"""Breast-cancer table with a batch-normalised network."""
# case: H11
# codes: none
# split: rules

import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset

SEED = 0
CONFIG = {"hidden": [64, 32], "lr": 2e-3, "batch_size": 32, "epochs": 8, "weight_decay": 1e-4}


class TableDataset(Dataset):
    def __init__(self, features, labels, mean, std):
        self.features = torch.as_tensor((features - mean) / std, dtype=torch.float32)
        self.labels = torch.as_tensor(labels, dtype=torch.float32)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.features[index], self.labels[index]


def make_network(n_in, hidden):
    layers = []
    for n_out in hidden:
        layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.LeakyReLU(0.1)]
        n_in = n_out
    return nn.Sequential(*layers, nn.Linear(n_in, 1), nn.Flatten(0))


def run_epoch(network, loader, criterion, optimizer=None):
    network.train(optimizer is not None)
    total, scores, truth = 0.0, [], []
    with torch.set_grad_enabled(optimizer is not None):
        for features, labels in loader:
            logits = network(features)
            loss = criterion(logits, labels)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(labels)
            scores.append(logits.detach())
            truth.append(labels)
    return total / len(loader.dataset), roc_auc_score(torch.cat(truth), torch.cat(scores))


def main(config):
    torch.manual_seed(SEED)
    x, y = load_breast_cancer(return_X_y=True)
    x_tr, x_va, y_tr, y_va = train_test_split(x, y, test_size=0.25, stratify=y, random_state=SEED)
    mean, std = x_tr.mean(0), x_tr.std(0)
    train = DataLoader(TableDataset(x_tr, y_tr, mean, std), batch_size=config["batch_size"], shuffle=True, drop_last=True)
    valid = DataLoader(TableDataset(x_va, y_va, mean, std), batch_size=64)
    network = make_network(x.shape[1], config["hidden"])
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    for epoch in range(config["epochs"]):
        train_loss, train_auc = run_epoch(network, train, criterion, optimizer)
        valid_loss, valid_auc = run_epoch(network, valid, criterion)
        print(f"{epoch}: train {train_loss:.3f} (auc {train_auc:.3f})  valid {valid_loss:.3f} (auc {valid_auc:.3f})")


main(CONFIG)
