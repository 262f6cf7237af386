"""Continue a wave: an encoder reads 24 values, a decoder writes the next 8 of them."""
# case: G12
# codes: model.ignores-input
# split: rules

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
PAST, FUTURE = 24, 8
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def waves(count):
    pace = 0.15 + 0.35 * torch.rand(count, 1)
    phase = 6.28 * torch.rand(count, 1)
    height = 0.7 + 0.9 * torch.rand(count, 1)
    values = height * torch.sin(pace * torch.arange(PAST + FUTURE) + phase) + 0.03 * torch.randn(count, PAST + FUTURE)
    return values[:, :PAST, None], values[:, PAST:]


class Seq2Seq(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.encoder = nn.GRU(1, hidden, batch_first=True)
        self.decoder = nn.GRU(FUTURE, hidden, batch_first=True)
        self.project = nn.Linear(hidden, 1)

    def forward(self, past):
        _, state = self.encoder(past)
        steps = torch.eye(FUTURE, device=past.device).expand(len(past), FUTURE, FUTURE)
        decoded, state = self.decoder(steps, torch.zeros_like(state))  #! decoded, state = self.decoder(steps, state)
        return self.project(decoded).squeeze(-1)  #@


def train(model, loader, optimizer, schedule):
    model.train()
    total = 0.0
    for past, future in loader:
        past, future = past.to(device), future.to(device)
        loss = (model(past) - future).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
    return total / len(loader)


def test(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(past.to(device)) - future.to(device)).abs().mean().item() for past, future in loader) / len(loader)


torch.manual_seed(SEED)
train_loader = DataLoader(TensorDataset(*waves(1600)), batch_size=64, shuffle=True)
test_loader = DataLoader(TensorDataset(*waves(320)), batch_size=160)
model = Seq2Seq().to(device)
optimizer = torch.optim.Adam(model.parameters())
epochs = 10
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, epochs=epochs, steps_per_epoch=len(train_loader))
for epoch in range(epochs):
    loss = train(model, train_loader, optimizer, schedule)
    print(f"epoch {epoch}: mse {loss:.4f}, test mae {test(model, test_loader):.4f}")
