"""Frame-wise tagging of bursts in synthetic sensor traces with a bidirectional LSTM."""
# case: O12
# codes: step.schedule-mistimed
# split: held-out

import torch
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset

SEED = 0
KINDS = 4


class Traces(Dataset):
    """Each trace carries up to three bursts, each of one of three frequencies; label 0 is silence."""

    def __init__(self, n, length=40, seed=0):
        g = torch.Generator().manual_seed(seed)
        time = torch.arange(length, dtype=torch.float32)
        self.x = 0.4 * torch.randn(n, length, 2, generator=g)
        self.y = torch.zeros(n, length, dtype=torch.long)
        for i in range(n):
            for slot in range(3):
                kind = int(torch.randint(KINDS, (), generator=g))
                if kind == 0:
                    continue
                begin = slot * 13 + int(torch.randint(4, (), generator=g))
                span = slice(begin, begin + 8)
                self.x[i, span, 0] += torch.sin(time[:8] * (0.5 + 0.5 * kind))
                self.x[i, span, 1] += torch.cos(time[:8] * (0.5 + 0.5 * kind))
                self.y[i, span] = kind

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Tagger(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.lstm = nn.LSTM(2, hidden, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.1)
        self.tag = nn.Linear(2 * hidden, KINDS)

    def forward(self, x):
        return self.tag(self.drop(self.lstm(x)[0])).transpose(1, 2)


def evaluate(model, loader):
    model.eval()
    good = count = 0
    with torch.inference_mode():
        for x, y in loader:
            good += (model(x).argmax(1) == y).sum().item()
            count += y.numel()
    return good / count


torch.manual_seed(SEED)
train_loader = DataLoader(Traces(640, seed=SEED), batch_size=16, shuffle=True)
val_loader = DataLoader(Traces(160, seed=SEED + 500), batch_size=80)
model = Tagger()
optimizer = optim.Adam(model.parameters(), lr=5e-3)
scheduler = StepLR(optimizer, step_size=3, gamma=0.3)  #@
loss_fn = nn.CrossEntropyLoss()
for epoch in range(6):
    model.train()
    seen = 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        seen += loss.item()
        scheduler.step()  #!
    #+ scheduler.step()
    print(f"epoch {epoch + 1}: loss {seen / len(train_loader):.4f}, frame accuracy {evaluate(model, val_loader):.3f}")
