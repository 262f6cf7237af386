"""Heteroscedastic regression: predict mean and log-variance of a noisy curve by maximum likelihood."""
# case: O16
# codes: step.clipping-ineffective
# split: rules

import math

import torch
import torch.nn as nn

SEED = 0
torch.manual_seed(SEED)
EPOCHS, BATCH, LR, MAX_NORM = 12, 50, 0.02, 1.0


def sample(n):
    x = 4 * torch.rand(n, 1) - 2
    noise = 0.02 + 0.25 * torch.sigmoid(3 * x)
    return x, torch.sin(2 * x) + noise * torch.randn(n, 1)


class GaussianNet(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.mean = nn.Linear(width, 1)
        self.log_var = nn.Linear(width, 1)

    def forward(self, x):
        h = self.trunk(x)
        return self.mean(h), self.log_var(h)


def gaussian_nll(mean, log_var, y):
    return 0.5 * (log_var + (y - mean) ** 2 * torch.exp(-log_var) + math.log(2 * math.pi)).mean()


x_train, y_train = sample(1500)
x_val, y_val = sample(500)
net = GaussianNet()
optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)

for epoch in range(EPOCHS):
    losses = []
    for rows in torch.randperm(len(x_train)).split(BATCH):
        optimizer.zero_grad()
        mean, log_var = net(x_train[rows])
        loss = gaussian_nll(mean, log_var, y_train[rows])
        nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)  #!
        loss.backward()  #@
        #+ nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)
        optimizer.step()  #@
        losses.append(loss.item())
    scheduler.step()
    with torch.no_grad():
        mean, log_var = net(x_val)
        val = gaussian_nll(mean, log_var, y_val).item()
        inside = ((y_val - mean).abs() < 2 * (0.5 * log_var).exp()).float().mean().item()
    print(f"epoch {epoch:2d}  train nll {sum(losses) / len(losses):7.3f} (max {max(losses):7.3f})  "
          f"val nll {val:7.3f}  inside 2 sigma {inside:.3f}")
