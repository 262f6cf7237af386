"""Logistic regression layers with a summed loss; the step size is given per example."""
# case: H22
# codes: none
# split: held-out

import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
BATCH = 64
LR_PER_EXAMPLE = 0.1 / BATCH

torch.manual_seed(SEED)
x, y = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
x = x.float().sub(4.88).div(6.02)
shuffled = torch.randperm(len(x))
train, test = shuffled[: 20 * BATCH], shuffled[20 * BATCH :]

mlp = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
criterion = nn.CrossEntropyLoss(reduction="sum")
sgd = torch.optim.SGD(mlp.parameters(), lr=LR_PER_EXAMPLE, momentum=0.8)

for epoch in range(10):
    mlp.train()
    epoch_loss = 0.0
    for batch in train[torch.randperm(len(train))].view(-1, BATCH):
        sgd.zero_grad()
        loss = criterion(mlp(x[batch]), y[batch])
        loss.backward()
        sgd.step()
        epoch_loss += loss.item()
    mlp.eval()
    with torch.no_grad():
        out = mlp(x[test])
    print(
        f"epoch {epoch + 1:2d}",
        f"train loss per example {epoch_loss / len(train):.4f}",
        f"test loss per example {criterion(out, y[test]).item() / len(test):.4f}",
        f"test accuracy {(out.argmax(1) == y[test]).float().mean().item():.3f}",
    )
