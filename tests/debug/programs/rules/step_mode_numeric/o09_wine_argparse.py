"""Classify the wines of scikit-learn with a two-layer network."""
# case: O09
# codes: step.learning-rate-too-high
# split: rules

import argparse

import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 0

parser = argparse.ArgumentParser()
parser.add_argument("--hidden", type=int, default=32)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--lr", type=float, default=30.0)  #! parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=25)
args = parser.parse_args()

torch.manual_seed(SEED)
X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=SEED, stratify=y)
scaler = StandardScaler()
X_train = torch.from_numpy(scaler.fit_transform(X_train)).float()
X_test = torch.from_numpy(scaler.transform(X_test)).float()
y_train, y_test = torch.from_numpy(y_train), torch.from_numpy(y_test)

net = torch.nn.Sequential(
    torch.nn.Linear(13, args.hidden),
    torch.nn.ReLU(),
    torch.nn.Linear(args.hidden, 3),
)
loss_fn = torch.nn.CrossEntropyLoss()
opt = torch.optim.SGD(net.parameters(), lr=args.lr)  #@

for epoch in range(args.epochs):
    perm = torch.randperm(X_train.shape[0])
    for start in range(0, X_train.shape[0], args.batch_size):
        idx = perm[start : start + args.batch_size]
        opt.zero_grad()
        loss = loss_fn(net(X_train[idx]), y_train[idx])
        loss.backward()
        opt.step()
    if epoch % 4 == 0:
        with torch.no_grad():
            train_loss = loss_fn(net(X_train), y_train)
            logits = net(X_test)
            test_loss = loss_fn(logits, y_test)
            acc = (logits.argmax(dim=1) == y_test).float().mean()
        print(f"epoch {epoch:2d} train {train_loss:.4f} test {test_loss:.4f} acc {acc:.3f}")
