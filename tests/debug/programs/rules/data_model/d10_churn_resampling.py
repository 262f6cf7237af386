"""Predict which customers leave: rare leavers are resampled until both groups weigh the same."""
# case: D10
# codes: data.split-overlap
# split: rules

from functools import partial

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import resample
from torch import nn

SEED = 0


def balance(x, y):
    """Draw leavers again, with replacement, until there are as many as stayers."""
    stay, leave = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    rows = np.concatenate([stay, resample(leave, n_samples=len(stay), random_state=SEED)])
    return x[rows], y[rows]


def tensors(x, y):
    return torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)


x, y = make_classification(
    n_samples=3000, n_features=16, n_informative=8, weights=[0.85], flip_y=0.04, class_sep=1.3, random_state=SEED
)
x, y = balance(x, y)  #!
split = partial(train_test_split, test_size=0.25, random_state=SEED)
x_train, x_val, y_train, y_val = split(x, y, stratify=y)  #@
#+ x_train, y_train = balance(x_train, y_train)
scaler = StandardScaler().fit(x_train)
x_train, y_train = tensors(scaler.transform(x_train), y_train)
x_val, y_val = tensors(scaler.transform(x_val), y_val)

torch.manual_seed(SEED)
model = nn.Sequential(nn.Linear(16, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)

for epoch in range(9):
    order = torch.randperm(len(x_train))
    losses = []
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        logits = model(x_train[rows]).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y_train[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    with torch.inference_mode():
        guess = (model(x_val).squeeze(1) > 0).float()
    score = balanced_accuracy_score(y_val, guess)
    print(f"epoch {epoch:2d}  train loss {np.mean(losses):.4f}  val balanced accuracy {score:.3f}")
