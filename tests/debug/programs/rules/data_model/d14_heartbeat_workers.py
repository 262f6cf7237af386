"""Five heart rhythms from short traces; every reading is shifted and gets fresh noise, loaded by two workers."""
# case: D14
# codes: data.repeated-randomness
# split: rules

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


def simulate(count, seed):
    rng = np.random.default_rng(seed)
    rhythm = rng.integers(0, 5, count)
    time = np.linspace(0, 4, 64)
    beats = 1.0 + 0.35 * rhythm + rng.normal(0, 0.05, count)
    phase = rng.uniform(0, 1, count)
    trace = np.exp(8 * (np.cos(2 * np.pi * (beats[:, None] * time + phase[:, None])) - 1))
    return (trace + rng.normal(0, 0.25, trace.shape)).astype(np.float32), rhythm


class Traces(Dataset):
    def __init__(self, count, seed, augment):
        self.traces, self.rhythm = simulate(count, seed)
        self.augment = augment
        self.rng = np.random.default_rng(seed)  #@

    def __len__(self):
        return len(self.traces)

    def __getitem__(self, index):
        trace = self.traces[index]
        if self.augment:
            shift, noise = self.rng.integers(0, 64), self.rng.normal(0, 0.25, 64)  #! shift, noise = torch.randint(0, 64, ()).item(), 0.25 * torch.randn(64).numpy()
            trace = np.roll(trace, shift) + noise
        trace = torch.as_tensor(trace, dtype=torch.float32)
        return (trace - 0.25) / 0.4, torch.tensor(self.rhythm[index])


class Reader(nn.Module):
    """Dilated convolutions over the trace, then the strongest and the mean answer of every channel."""

    def __init__(self, width=24):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(1 if depth == 0 else width, width, 5, padding=2 * 2**depth, dilation=2**depth) for depth in range(4)
        )
        self.head = nn.Linear(2 * width, 5)

    def forward(self, trace):
        x = trace.unsqueeze(1)
        for layer in self.layers:
            x = nn.functional.gelu(layer(x))
        return self.head(torch.cat([x.amax(2), x.mean(2)], 1))


def main():
    torch.manual_seed(SEED)
    train = Traces(240, SEED + 1, augment=True)
    val = Traces(300, SEED + 2, augment=False)
    train_loader = DataLoader(train, batch_size=24, shuffle=True, num_workers=2)
    val_loader = DataLoader(val, batch_size=150)
    model = Reader()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(14):
        model.train()
        for trace, rhythm in train_loader:
            loss = criterion(model(trace), rhythm)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            hits = sum((model(trace).argmax(1) == rhythm).sum().item() for trace, rhythm in val_loader)
        print(f"epoch {epoch}: train loss {loss.item():.3f}, val accuracy {hits / len(val):.3f}")


if __name__ == "__main__":
    main()
