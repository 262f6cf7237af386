"""Handwritten digits of 8x8 pixels with sixteen grey levels, a two-layer perceptron on plain arrays."""
# case: D02
# codes: data.label-support, data.split-preprocessing
# split: rules

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
EPOCHS, BATCH = 14, 96

torch.manual_seed(SEED)
data, target = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    data, target, test_size=0.25, stratify=target, random_state=SEED
)


def scaled(values):
    return (values / 16.0).astype(np.float32)


train_x, train_y = scaled(train_x), scaled(train_y)  #! train_x, val_x = scaled(train_x), scaled(val_x)
train_x, val_x = torch.from_numpy(train_x).float(), torch.from_numpy(val_x).float()
train_y, val_y = torch.from_numpy(train_y).long(), torch.from_numpy(val_y).long()  #@


class Perceptron(torch.nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = torch.nn.Linear(inputs, hidden)
        self.second = torch.nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.second(F.dropout(F.relu(self.first(x)), 0.2, self.training))


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(-1) == y).float().mean().item()


net = Perceptron(64, 100, 10)
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, EPOCHS + 1):
    net.train()
    for rows in torch.randperm(len(train_x)).split(BATCH):
        opt.zero_grad()
        loss = F.cross_entropy(net(train_x[rows]), train_y[rows])
        loss.backward()
        opt.step()
    if epoch % 2 == 0:
        print(
            f"[{epoch:2d}] last loss {loss.item():.4f}  train acc {accuracy(net, train_x, train_y):.3f}"
            f"  val acc {accuracy(net, val_x, val_y):.3f}"
        )
