"""Soil temperature three hours ahead from a day of readings (degrees, centred); GRU and a small decoder."""
# case: L15
# codes: loss.unreachable-target
# split: fresh
import torch
import torch.nn as nn

SEED = 0
torch.manual_seed(SEED)


def record(hours):
    h = torch.arange(hours, dtype=torch.float)
    slow = torch.cumsum(0.05 * torch.randn(hours), 0)
    slow = slow - slow.mean()
    return torch.sin(2 * torch.pi * h / 24) + 0.3 * torch.sin(2 * torch.pi * h / 24 / 7) + 0.3 * slow + 0.05 * torch.randn(hours)


def cut(series, past=24, ahead=3):
    w = series.unfold(0, past + ahead, 1)
    return w[:, :past].unsqueeze(-1), w[:, -1]


class SoilForecast(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.dec1 = nn.Linear(hidden, hidden)
        self.dec2 = nn.Linear(hidden, 1)

    def forward(self, seq):
        _, h = self.rnn(seq)
        z = torch.relu(self.dec1(h[0]))
        return torch.relu(self.dec2(z)).squeeze(-1)  #! return self.dec2(z).squeeze(-1)


series = record(1400)
past, future = cut(series[:1100])
past_v, future_v = cut(series[1100:])
model = SoilForecast()
optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
mae = nn.L1Loss()
for epoch in range(12):
    model.train()
    losses = torch.zeros(0)
    for i in torch.randperm(len(past)).split(64):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(past[i]), future[i])  #@
        loss.backward()
        optimizer.step()
        losses = torch.cat([losses, loss.detach()[None]])
    if epoch % 3 == 2:
        model.eval()
        with torch.no_grad():
            print("epoch", epoch + 1, "train mse %.4f" % losses.mean(), "valid mae %.3f" % mae(model(past_v), future_v))
