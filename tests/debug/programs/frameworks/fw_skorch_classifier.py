"""skorch classifier on digits with an internal validation split."""
# case: L01
# codes: loss.probabilities-into-cross-entropy
# needs: skorch
# split: held-out

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from torch import nn

SEED = 0


class MLP(nn.Module):
    def __init__(self, hidden=80, dropout=0.1):
        super().__init__()
        self.hidden = nn.Linear(64, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, 10)

    def forward(self, X):
        X = torch.relu(self.hidden(X))
        X = self.output(self.dropout(X))
        return torch.softmax(X, dim=-1)  #! return X


def main():
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=SEED)
    mean, std = X_train.mean(), X_train.std()
    X_train, X_test = (((part - mean) / std).astype(np.float32) for part in (X_train, X_test))

    net = NeuralNetClassifier(
        MLP,
        criterion=nn.CrossEntropyLoss,  #@
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.05,
        batch_size=64,
        max_epochs=12,
        iterator_train__shuffle=True,
        train_split=ValidSplit(0.2, stratified=True, random_state=SEED),
        callbacks=[("train_acc", EpochScoring("accuracy", name="train_acc", on_train=True, lower_is_better=False))],
        verbose=0,
    )
    net.fit(X_train, y_train)
    for row in net.history[::3]:
        print(f"epoch {row['epoch']}: train loss {row['train_loss']:.4f} valid loss {row['valid_loss']:.4f} valid acc {row['valid_acc']:.3f}")
    print(f"last train loss {net.history[-1, 'train_loss']:.4f}, test accuracy {accuracy_score(y_test, net.predict(X_test)):.3f}")


main()
