"""accelerate around a loop written by hand."""

import sys

import torch
from accelerate import Accelerator
from task import EPOCHS, LEARNING_RATE, accuracy_of, lenet, loaders, report
from torch.nn import functional as F

accelerator = Accelerator(cpu=True)
torch.manual_seed(0)
model = lenet()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
train, test = loaders(sys.argv[1])
model, optimizer, train, test = accelerator.prepare(model, optimizer, train, test)
steps = 0
for _ in range(EPOCHS):
    model.train()
    for x, y in train:
        optimizer.zero_grad()
        accelerator.backward(F.cross_entropy(model(x), y))
        optimizer.step()
        steps += 1
report(accuracy_of(model, test), steps=steps, model=accelerator.unwrap_model(model))
