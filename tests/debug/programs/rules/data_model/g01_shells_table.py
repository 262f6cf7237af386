"""Three nested shells of points in six dimensions, told apart by a feed-forward net."""
# case: G01
# codes: model.no-nonlinearity
# split: rules

from itertools import pairwise

import torch
from sklearn.datasets import make_gaussian_quantiles
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


class FeedForward(nn.Module):
    def __init__(self, inputs, hidden, depth, outputs):
        super().__init__()
        sizes = [inputs] + [hidden] * depth
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(0.05)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, x):
        for layer in self.hidden:
            x = self.dropout(layer(x))  #! x = self.dropout(nn.functional.relu(layer(x)))
        return self.output(x)


features, shell = make_gaussian_quantiles(n_samples=2000, n_features=6, n_classes=3, random_state=SEED)
parts = train_test_split(features, shell, test_size=0.2, random_state=SEED, stratify=shell)
x_train, x_val = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
y_train, y_val = (torch.tensor(part) for part in parts[2:])

loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)
model = FeedForward(6, 64, 3, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
loss_function = nn.CrossEntropyLoss()
for epoch in range(12):
    model.train()
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        logits = model(x_val)
    accuracy = (logits.argmax(1) == y_val).float().mean()
    print(f"{epoch + 1:3d} {running / len(loader):.4f} {loss_function(logits, y_val):.4f} {accuracy:.3f}")
