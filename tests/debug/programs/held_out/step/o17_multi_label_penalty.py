"""Multi-label tagging of synthetic sparse documents, with an L1 penalty on the weights."""
# case: O17
# codes: step.regularisation-dominates
# split: held-out

import numpy as np
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from torch import nn

SEED = 0
PENALTY = 0.05  #! PENALTY = 2e-5


def documents():
    x, y = make_multilabel_classification(2400, n_features=40, n_classes=6, n_labels=2, length=60, random_state=SEED)
    x = np.log1p(x)
    train, test = slice(0, 1800), slice(1800, None)
    mean, std = x[train].mean(0), x[train].std(0)
    x = ((x - mean) / std).astype(np.float32)
    to = torch.from_numpy
    return (to(x[train]), to(y[train]).float()), (to(x[test]), to(y[test]).float())


def l1(module):
    return sum(p.abs().sum() for name, p in module.named_parameters() if name.endswith("weight"))


def closure_for(model, optimizer, x, y):
    def closure():
        optimizer.zero_grad()
        fit = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss = fit + PENALTY * l1(model)  #@
        loss.backward()
        return fit

    return closure


def f1(model, x, y):
    model.eval()
    with torch.no_grad():
        guess = (model(x) > 0).int().numpy()
    model.train()
    return f1_score(y.numpy(), guess, average="micro", zero_division=0)


torch.manual_seed(SEED)
(x, y), (x_test, y_test) = documents()
model = nn.Sequential(nn.Linear(40, 64), nn.Hardswish(), nn.Dropout(0.1), nn.Linear(64, 6))
optimizer = torch.optim.NAdam(model.parameters(), lr=3e-3)
for epoch in range(10):
    total = 0.0
    for idx in torch.randperm(len(x)).split(60):
        total += optimizer.step(closure_for(model, optimizer, x[idx], y[idx])).item() * len(idx)
    print(f"epoch {epoch}: bce {total / len(x):.4f}  f1 {f1(model, x_test, y_test):.3f}")
