"""Find the type of a machine fault; most rows are of machines that run as they should."""
# case: D17
# codes: data.imbalance
# split: rules

import numpy as np
import torch
from sklearn import metrics
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils import data

SEED = 0
CONFIG = {"epochs": 8, "batch": 64, "lr": 1e-3, "width": 32, "share": [0.97, 0.01, 0.01, 0.01]}


def measure(rows, rng):
    kind = rng.choice(4, rows, p=CONFIG["share"])
    centers = np.random.default_rng(3).normal(0, 1.3, (4, 10))
    centers[0] = 0
    return (centers[kind] + rng.normal(size=(rows, 10))) * 5 + 20, kind


def as_dataset(scaler, x, y):
    return data.TensorDataset(torch.tensor(scaler.transform(x), dtype=torch.float32), torch.tensor(y))


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
x, y = measure(4000, rng)
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.3, stratify=y, random_state=SEED)
scaler = StandardScaler().fit(x_train)
train_set, val_set = as_dataset(scaler, x_train, y_train), as_dataset(scaler, x_val, y_val)
counts = np.bincount(y_train, minlength=4)
print("rows of each kind:", counts.tolist())
train_loader = data.DataLoader(train_set, CONFIG["batch"], shuffle=True)  #! train_loader = data.DataLoader(train_set, CONFIG["batch"], sampler=data.WeightedRandomSampler(1 / counts[y_train], len(y_train)))
score = metrics.accuracy_score  #! score = metrics.balanced_accuracy_score

model = nn.Sequential(
    nn.Linear(10, CONFIG["width"]), nn.ReLU(), nn.Dropout(0.1), nn.Linear(CONFIG["width"], 4)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG["lr"], weight_decay=0.05)
criterion = nn.CrossEntropyLoss()  #@
for epoch in range(CONFIG["epochs"]):
    model.train()
    losses = []
    for features, kind in train_loader:
        loss = criterion(model(features), kind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        guess = model(val_set.tensors[0]).argmax(1)
    print(f"epoch {epoch}: loss {np.mean(losses):.4f}, val score {score(y_val, guess.numpy()):.3f}")
print("found on validation:", guess.bincount(minlength=4).tolist(), "of", np.bincount(y_val).tolist())
