"""Strokes of a drum: attack spectra, a network with dropout, step schedule of the learning rate."""
# case: O12
# codes: step.schedule-mistimed
# split: fresh
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)
bols = ["na", "tin", "ge", "ka", "te", "dha"]
partials = torch.rand(6, 5) * 30


def strokes(n):
    b = torch.randint(0, 6, (n,))
    f = torch.arange(32.0)
    loud = 0.5 + torch.rand(n, 5, 1)
    s = (loud * torch.exp(-(((f - partials[b].unsqueeze(2) - 0.5 * torch.randn(n, 1, 1)) / 1.2) ** 2))).sum(1)
    return s + 0.25 * torch.randn(n, 32), b


train = DataLoader(TensorDataset(*strokes(1600)), batch_size=16, shuffle=True)
test_x, test_b = strokes(400)
model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 6))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
scheduler = StepLR(optimizer, step_size=4, gamma=0.3)
epochs = 12
for epoch in range(1, epochs + 1):
    model.train()
    total = 0.0
    for x, b in train:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), b)
        loss.backward()
        optimizer.step()
        scheduler.step()  #!
        total += loss.item()
    #+ scheduler.step()
    model.eval()
    with torch.no_grad():
        right = (model(test_x).argmax(1) == test_b).float().mean()
    if epoch % 3 == 0:
        print(f"epoch {epoch}: loss {total / len(train):.3f}, test {right:.3f}")
