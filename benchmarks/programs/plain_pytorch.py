"""Plain PyTorch with a DataLoader, as in its own examples."""

import sys

import torch
from task import EPOCHS, LEARNING_RATE, accuracy_of, lenet, loaders, report
from torch.nn import functional as F

train, test = loaders(sys.argv[1])
torch.manual_seed(0)
model = lenet()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
steps = 0
for _ in range(EPOCHS):
    model.train()
    for x, y in train:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        steps += 1
report(accuracy_of(model, test), steps=steps, model=model)
