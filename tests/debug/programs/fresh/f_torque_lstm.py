"""Torque of a robot joint from its last angles: LSTM regression with plain functions."""
# case: O01
# codes: step.gradients-not-cleared
# split: fresh
import torch
import torch.nn as nn

SEED = 0


def simulate(n_steps, seed):
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(n_steps) * 0.05
    q = sum(a * torch.sin(w * t + p) for a, w, p in zip((0.8, 0.5, 0.3), (1.1, 2.7, 4.3), torch.rand(3, generator=g) * 6))
    dq = torch.gradient(q, spacing=0.05)[0]
    ddq = torch.gradient(dq, spacing=0.05)[0]
    torque = 0.6 * ddq + 0.3 * dq + 1.5 * torch.sin(q)
    noisy = q + 0.002 * torch.randn(n_steps, generator=g)
    x = torch.stack([noisy, dq], 1).unfold(0, 10, 1).transpose(1, 2)
    return x, (torque / 2)[9:]


class TorqueLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 32, batch_first=True)
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -1, :]).squeeze(1)


def train_one_epoch(model, optimizer, criterion, x, y, batch_size):
    model.train()
    running_loss, n = 0.0, 0
    for idx in torch.randperm(len(x)).split(batch_size):
        prediction = model(x[idx])
        loss = criterion(prediction, y[idx])
        #+ optimizer.zero_grad()
        loss.backward()  #@
        optimizer.step()  #@
        running_loss += loss.item()
        n += 1
    return running_loss / n


if __name__ == "__main__":
    torch.manual_seed(SEED)
    x, y = simulate(1200, SEED)
    xv, yv = simulate(400, SEED + 1)
    model, criterion = TorqueLSTM(), nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(12):
        loss = train_one_epoch(model, optimizer, criterion, x, y, 40)
        model.eval()
        with torch.no_grad():
            print(f"Epoch [{epoch + 1}/12], train {loss:.4f}, validation {criterion(model(xv), yv):.4f}")
