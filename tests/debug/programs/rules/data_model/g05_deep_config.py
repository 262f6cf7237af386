"""Deep narrow network on tabular measurements of tumours, set up from a dictionary."""
# case: G05
# codes: model.vanishing-gradient
# split: rules

import json

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

SEED = 0
CONFIG = json.loads("""
{"depth": 12, "width": 40, "lr": 0.001, "batch": 32, "epochs": 12, "weight_decay": 0.0001}
""")
CONFIG["activation"] = "sigmoid"  #! CONFIG["activation"] = "tanh"
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def make_model(config, inputs):
    layers, size = [], inputs
    for _ in range(config["depth"]):  #@
        linear = nn.Linear(size, config["width"])
        nn.init.xavier_uniform_(linear.weight)
        layers += [linear, ACTIVATIONS[config["activation"]]()]
        size = config["width"]
    return nn.Sequential(*layers, nn.Linear(size, 1))


def load(seed):
    data = load_breast_cancer()
    x_train, x_val, y_train, y_val = train_test_split(
        data.data, data.target, test_size=0.25, random_state=seed, stratify=data.target
    )
    scaler = StandardScaler().fit(x_train)
    to = lambda array: torch.tensor(array, dtype=torch.float32)  # noqa: E731
    return to(scaler.transform(x_train)), to(y_train), to(scaler.transform(x_val)), to(y_val)


def iterate(x, y, size):
    order = torch.randperm(len(x))
    for start in range(0, len(x) - size + 1, size):
        rows = order[start : start + size]
        yield x[rows], y[rows]


torch.manual_seed(SEED)
x_train, y_train, x_val, y_val = load(SEED)
model = make_model(CONFIG, x_train.shape[1])
optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG["lr"], weight_decay=CONFIG["weight_decay"])
bce = nn.BCEWithLogitsLoss()
for epoch in range(CONFIG["epochs"]):
    for x, y in iterate(x_train, y_train, CONFIG["batch"]):
        loss = bce(model(x)[:, 0], y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits = model(x_val)[:, 0]
    hits = ((logits > 0) == (y_val > 0.5)).float().mean()
    print(f"epoch {epoch:02d} train={loss.item():.4f} val={bce(logits, y_val).item():.4f} acc={hits.item():.3f}")
