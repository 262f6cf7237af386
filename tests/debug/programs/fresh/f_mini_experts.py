"""Mixture of four experts for a piecewise function of two variables; plain maths notation."""
# case: S04
# codes: shape.softmax-axis, shape.samples-mixed
# split: fresh
import torch

SEED = 0
torch.manual_seed(SEED)
K, n, m = 4, 1600, 48


def f(x):
    a, b = x[:, 0], x[:, 1]
    return torch.where(a > 0, torch.where(b > 0, 2 * a - b, 1 - 3 * b), torch.where(b > 0, a * b * 4, -2 - a))


class Experts(torch.nn.Module):
    def __init__(self, K, H):
        super().__init__()
        self.W = torch.nn.Parameter(torch.randn(K, 2, H) / 2**0.5)
        self.b = torch.nn.Parameter(torch.randn(K, 1, H))
        self.V = torch.nn.Parameter(torch.randn(K, H, 1) / H**0.5)
        self.g = torch.nn.Sequential(torch.nn.Linear(2, 24), torch.nn.Tanh(), torch.nn.Linear(24, K))

    def forward(self, x):
        w = torch.softmax(self.g(x), 0)  #! w = torch.softmax(self.g(x), 1)
        h = torch.tanh(torch.einsum("ni,kih->knh", x, self.W) + self.b)
        e = (h @ self.V).squeeze(-1).T
        return (w * e).sum(1)  #@


X = torch.rand(n, 2) * 2 - 1
Y = f(X) + 0.05 * torch.randn(n)
Z = torch.rand(301, 2) * 2 - 1
E = Experts(K, 16)
opt = torch.optim.Adam(E.parameters(), lr=1e-2)
for t in range(1, 26):
    J = 0
    for i in torch.randperm(n).split(m):
        L = ((E(X[i]) - Y[i]) ** 2).mean()
        opt.zero_grad()
        L.backward()
        opt.step()
        J += L.item() * len(i) / n
    if t % 5 == 0:
        with torch.no_grad():
            print(t, f"train {J:.4f}", f"test {((E(Z) - f(Z)) ** 2).mean():.4f}", f"(variance {f(Z).var():.3f})")
