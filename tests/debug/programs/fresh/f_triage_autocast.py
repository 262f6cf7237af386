"""Emergency triage from vital signs with reduced precision on the processor (bfloat16 inside torch.autocast)."""
# case: N04
# codes: numeric.half-precision-range, numeric.non-finite-loss, numeric.non-finite-gradient
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def arrivals(n):
    x = torch.randn(n, 10)
    risk = 2 * x[:, 0] + 1.5 * torch.relu(x[:, 1]) - x[:, 2] * x[:, 3] - 0.4
    return x, (risk > 0).float()


net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
opt = torch.optim.AdamW(net.parameters(), lr=4e-3)
x, urgent = arrivals(2000)
xt, urgent_t = arrivals(500)
eps = 1e-6
for epoch in range(16):
    for i in torch.randperm(2000).split(40):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = net(x[i])[:, 0]
            p = torch.sigmoid(z).clamp(eps, 1 - eps)  #! p = torch.sigmoid(z.float()).clamp(eps, 1 - eps)
            loss = -(urgent[i] * p.log() + (1 - urgent[i]) * (1 - p).log()).mean()  #@
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 3 == 0:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            right = ((net(xt)[:, 0] > 0).float() == urgent_t).float().mean()
        print(f"epoch {epoch:2d}: loss {loss.item():.4f}, right {right:.3f}")
