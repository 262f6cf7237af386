"""Autoencoder for standardised multi-sensor readings; the reconstruction error later serves as an alarm score."""
# case: L15
# codes: loss.unreachable-target
# split: held-out
import torch
import torch.nn as nn
from sklearn.preprocessing import StandardScaler

SEED = 0


class SensorAutoencoder(nn.Module):
    def __init__(self, n_sensors, n_code):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_sensors, 64), nn.ELU(), nn.Linear(64, n_code))
        self.decoder = nn.Sequential(
            nn.Linear(n_code, 64),
            nn.ELU(),
            nn.Linear(64, n_sensors),
            nn.Sigmoid(),  #!
        )

    def forward(self, readings):
        return self.decoder(self.encoder(readings))


def plant(n, n_sensors, gen):
    """Sensors are smooth functions of five hidden process variables."""
    hidden = torch.randn(n, 5, generator=gen)
    wiring = torch.randn(5, n_sensors, generator=gen)
    bend = torch.randn(5, n_sensors, generator=gen)
    clean = hidden @ wiring + torch.tanh(hidden @ bend)
    return 40 + 12 * (clean + 0.15 * torch.randn(n, n_sensors, generator=gen))


def batches(data, size, gen):
    for rows in torch.randperm(len(data), generator=gen).split(size):
        yield data[rows]


def train_one_epoch(model, data, criterion, optimizer, gen):
    model.train()
    seen, total = 0, 0.0
    for readings in batches(data, 64, gen):
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model(readings), readings)  #@
        loss.backward()
        optimizer.step()
        seen += len(readings)
        total += loss.item() * len(readings)
    return total / seen


@torch.no_grad()
def validate(model, data, criterion):
    model.eval()
    return criterion(model(data), data).item()


def main():
    torch.manual_seed(SEED)
    gen = torch.Generator().manual_seed(SEED)
    raw = plant(2400, 24, gen)
    scaler = StandardScaler().fit(raw[:2000].numpy())
    scaled = torch.tensor(scaler.transform(raw.numpy()), dtype=torch.float32)
    train, val = scaled[:2000], scaled[2000:]
    model = SensorAutoencoder(24, 6)
    criterion = nn.MSELoss()
    optimizer = torch.optim.NAdam(model.parameters(), lr=3e-3)
    for epoch in range(10):
        loss = train_one_epoch(model, train, criterion, optimizer, gen)
        print(f"epoch {epoch + 1:2d}/10  reconstruction error {loss:.4f}  validation {validate(model, val, criterion):.4f}")


main()
