"""Waiting times at a counter: 10 small batches an epoch, gradients gathered over 4 of them."""
# case: O15
# codes: step.accumulation-unscaled
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


def counter(n):
    people, clerks, slow = torch.randint(0, 30, (n,)).float(), torch.randint(1, 5, (n,)).float(), torch.rand(n)
    wait = people / clerks * (1 + slow) / 6
    return torch.stack([people / 10 - 1.5, clerks / 2 - 1.2, slow * 2 - 1], 1), wait


data = TensorDataset(*counter(160))
test_x, test_wait = counter(500)
loader = DataLoader(data, batch_size=16, shuffle=True)
net = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1), nn.Flatten(0))
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
gather, steps = 4, 0
for epoch in range(1, 61):
    window = 0
    opt.zero_grad()
    for k, (x, wait) in enumerate(loader, 1):
        rest = gather  #! rest = min(gather, len(loader) - (k - 1) // gather * gather)
        loss = nn.functional.mse_loss(net(x), wait)
        (loss / rest).backward()  #@
        if k % gather == 0:  #! if k % gather == 0 or k == len(loader):
            opt.step()  #@
            opt.zero_grad()
            steps += 1
    if epoch % 15 == 0:
        with torch.no_grad():
            err = nn.functional.mse_loss(net(test_x), test_wait).item()
        print(f"epoch {epoch}: {steps} steps, loss {loss.item():.4f}, test {err:.4f} (variance {test_wait.var():.2f})")
