"""accelerate: two-branch model that fuses a signal and a table."""
# case: O08
# codes: step.graph-cut
# needs: accelerate
# split: held-out

import math

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class Patients(Dataset):
    """Pulse curves and three numbers; the risk depends on the rhythm and on the numbers."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        rate = 1 + 3 * torch.rand(n, 1, generator=g)
        phase = 6.28 * torch.rand(n, 1, generator=g)
        t = torch.linspace(0, 2, 48)
        self.pulse = (torch.sin(2 * math.pi * rate * t + phase) + 0.2 * torch.randn(n, 48, generator=g)).unsqueeze(1)
        self.table = torch.randn(n, 3, generator=g)
        self.risk = 1.5 * (rate[:, 0] - 2.5) + self.table[:, 0] - 0.5 * self.table[:, 1] + 0.1 * torch.randn(n, generator=g)

    def __len__(self):
        return len(self.risk)

    def __getitem__(self, i):
        return {"pulse": self.pulse[i], "table": self.table[i], "risk": self.risk[i]}


class Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.signal = nn.Sequential(nn.Conv1d(1, 12, 7, padding=3), nn.ReLU(), nn.Conv1d(12, 12, 7, padding=3), nn.ReLU(), nn.AdaptiveAvgPool1d(4))
        self.table = nn.Linear(3, 12)
        self.head = nn.Sequential(nn.Linear(60, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, pulse, table):
        rhythm = self.signal(pulse).flatten(1)
        rhythm = torch.from_numpy(rhythm.detach().cpu().numpy()).to(pulse.device)  #!
        return self.head(torch.cat([rhythm, self.table(table)], dim=1)).squeeze(1)  #@


torch.manual_seed(SEED)
accelerator = Accelerator(cpu=True)
model = Fusion()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
train_loader = DataLoader(Patients(2000, SEED), batch_size=50, shuffle=True)
val_loader = DataLoader(Patients(500, SEED + 77), batch_size=250)
model, optimizer, train_loader, val_loader = accelerator.prepare(model, optimizer, train_loader, val_loader)

for epoch in range(6):
    model.train()
    for batch in train_loader:
        optimizer.zero_grad()
        prediction = model(batch["pulse"], batch["table"])
        loss = nn.functional.mse_loss(prediction, batch["risk"])
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        errors = torch.cat([model(b["pulse"], b["table"]) - b["risk"] for b in val_loader])
    accelerator.print(f"epoch {epoch}: train {loss.item():.4f} validation mse {errors.square().mean().item():.4f}")
