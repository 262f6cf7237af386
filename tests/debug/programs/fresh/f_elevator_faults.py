"""Elevator fault codes; a network whose biases start below zero for sparse activity."""
# case: G04
# codes: model.dead-units
# split: fresh
import torch
from torch import nn

SEED = 0


class SparseStart(nn.Linear):
    def reset_parameters(self):
        super().reset_parameters()
        nn.init.constant_(self.bias, -6.0)  #! nn.init.constant_(self.bias, -0.1)


class FaultNet(nn.Module):
    def __init__(self, signals, faults):
        super().__init__()
        self.low, self.high = SparseStart(signals, 64), SparseStart(64, 64)
        self.out = nn.Linear(64, faults)

    def forward(self, s):
        s = self.low(s).relu()
        s = self.high(s).relu()  #@
        return self.out(s)


def events(n, gen):
    code = torch.randint(0, 5, (n,), generator=gen)
    pattern = torch.randn(5, 16, generator=torch.Generator().manual_seed(3))
    return pattern[code] + 0.7 * torch.randn(n, 16, generator=gen), code


gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
s, code = events(1000, gen)
s_t, code_t = events(300, gen)
net = FaultNet(16, 5)
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(12):
    for i in torch.randperm(1000, generator=gen).split(25):
        loss = nn.functional.cross_entropy(net(s[i]), code[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 3 == 2:
        with torch.no_grad():
            print(f"epoch {epoch + 1}: loss {loss.item():.4f} test {(net(s_t).argmax(1) == code_t).float().mean():.3f}")
