"""Read digit images row by row with a hand-written gated recurrent cell."""
# case: G09
# codes: model.state-leak
# split: held-out
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

SEED = 0
BATCH = 32


class MinimalGatedCell(nn.Module):
    """One gate decides how much of the old state to keep (Zhou et al., 2016)."""

    def __init__(self, n_in, n_state):
        super().__init__()
        self.gate = nn.Linear(n_in + n_state, n_state)
        self.fresh = nn.Linear(n_in + n_state, n_state)

    def forward(self, x, h):
        f = torch.sigmoid(self.gate(torch.cat([x, h], dim=1)))
        c = torch.tanh(self.fresh(torch.cat([x, f * h], dim=1)))
        return (1 - f) * h + f * c


class RowReader(nn.Module):
    def __init__(self, rows=8, n_state=48, classes=10):
        super().__init__()
        self.n_state = n_state
        self.cell = MinimalGatedCell(rows, n_state)
        self.read_out = nn.Linear(n_state, classes)
        self.state = torch.zeros(BATCH, n_state)

    def forward(self, images):
        h = self.state.detach()  #! h = images.new_zeros(len(images), self.n_state)
        for row in images.unbind(dim=1):
            h = self.cell(row, h)
        self.state = h  #@
        return self.read_out(h)


def loader(images, targets, shuffle):
    data = torch.utils.data.TensorDataset(images, targets)
    return torch.utils.data.DataLoader(data, BATCH, shuffle=shuffle, drop_last=True)


torch.manual_seed(SEED)
digits = load_digits()
images = (torch.tensor(digits.images, dtype=torch.float32) - 4.9) / 6.0
targets = torch.tensor(digits.target)
shuffled = torch.randperm(len(images))
train = loader(images[shuffled[:1400]], targets[shuffled[:1400]], shuffle=True)
test = loader(images[shuffled[1400:]], targets[shuffled[1400:]], shuffle=False)
reader = RowReader()
optimizer = torch.optim.RMSprop(reader.parameters(), lr=2e-3)
for epoch in range(6):
    reader.train()
    mean_loss = 0.0
    for image, target in train:
        loss = nn.functional.cross_entropy(reader(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean_loss += loss.item() / len(train)
    reader.eval()
    with torch.no_grad():
        accuracy = torch.cat([reader(image).argmax(1) == target for image, target in test]).float().mean()
    print(f"epoch {epoch} mean loss {mean_loss:.3f} test accuracy {accuracy:.3f}")
