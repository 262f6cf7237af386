"""Which of the three growers made the wine? Thirteen chemical measurements, grower numbers as in the printed table."""
# case: D07
# codes: data.label-support
# split: rules

import argparse

import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0


def read_table():
    """Rows of measurements followed by the grower's number, 1 to 3."""
    wine = load_wine()
    return np.column_stack([wine.data, wine.target + 1])


def split(table, share, rng):
    table = rng.permutation(table)
    cut = int(share * len(table))
    return table[:cut], table[cut:]


def to_dataset(table, scaler):
    features = torch.tensor(scaler.transform(table[:, :-1]), dtype=torch.float32)
    growers = torch.tensor(table[:, -1], dtype=torch.long)  #! growers = torch.tensor(table[:, -1], dtype=torch.long) - 1
    return TensorDataset(features, growers)


def run(args):
    torch.manual_seed(SEED)
    train_table, val_table = split(read_table(), 0.75, np.random.default_rng(SEED))
    scaler = StandardScaler().fit(train_table[:, :-1])
    train, val = to_dataset(train_table, scaler), to_dataset(val_table, scaler)
    classes = int(train.tensors[1].max()) + 1  #@
    model = nn.Sequential(nn.Linear(13, args.hidden), nn.Tanh(), nn.Linear(args.hidden, classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    loader = DataLoader(train, batch_size=16, shuffle=True)
    for epoch in range(args.epochs):
        for features, growers in loader:
            loss = nn.functional.cross_entropy(model(features), growers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 5 == 4:
            with torch.no_grad():
                logits = model(val.tensors[0])
                val_loss = nn.functional.cross_entropy(logits, val.tensors[1])
                accuracy = (logits.argmax(1) == val.tensors[1]).float().mean()
            print(f"epoch {epoch + 1}: train {loss.item():.4f} val {val_loss.item():.4f} accuracy {accuracy.item():.3f}")
    counts = logits.argmax(1).bincount(minlength=classes).tolist()
    print("validation wines per output:", counts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--epochs", type=int, default=25)
    run(parser.parse_args())
