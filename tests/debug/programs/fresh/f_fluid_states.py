"""States of a fluid from pressure taps; a wide network written with raw parameters."""
# case: G03
# codes: model.init-too-large
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class Layer(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n_in, n_out))  #! self.w = nn.Parameter(torch.randn(n_in, n_out) / n_in**0.5)
        self.c = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return x @ self.w + self.c


class Fluid(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = Layer(24, 128), Layer(128, 128), Layer(128, 4)

    def forward(self, x):
        return self.three(torch.tanh(self.two(torch.tanh(self.one(x)))))  #@


def taps(n):
    k = torch.randint(0, 4, (n,))
    pos = torch.linspace(0, 6.28, 24)
    f = torch.tensor([1.0, 2.0, 3.0, 2.5])[k][:, None]
    return torch.sin(f * pos + 6.28 * torch.rand(n, 1)) + 0.6 * torch.randn(n, 24), k


x, k = taps(800)
xt, kt = taps(400)
net = Fluid()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(25):
    tot = 0.0
    for i in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(net(x[i]), k[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 20
    if epoch % 5 == 0 or epoch == 24:
        with torch.no_grad():
            out = net(xt)
        print(f"epoch {epoch:2d}: train {tot:.3f}, test {nn.functional.cross_entropy(out, kt):.3f}, right {(out.argmax(1) == kt).float().mean():.3f}")
