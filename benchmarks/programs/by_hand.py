"""Plain PyTorch written for speed: tensors in memory, batches by index, fused Adam, no torchvision. The floor."""

import torch
from task import BATCH, EPOCHS, LEARNING_RATE, TEST_BATCH, accuracy_of, lenet, report, tensors_of
from torch.nn import functional as F

x, y = tensors_of("train")
torch.manual_seed(0)
model = lenet()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
steps = 0
for _ in range(EPOCHS):
    order = torch.randperm(len(x))
    for begin in range(0, len(x), BATCH):
        index = order[begin : begin + BATCH]
        optimizer.zero_grad()
        F.cross_entropy(model(x.index_select(0, index)), y.index_select(0, index)).backward()
        optimizer.step()
        steps += 1
test = zip(*(part.split(TEST_BATCH) for part in tensors_of("t10k")), strict=True)
report(accuracy_of(model, test), steps=steps, model=model)
