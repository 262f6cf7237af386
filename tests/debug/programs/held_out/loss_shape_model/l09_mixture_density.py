"""Mixture density network: the inverse of a non-monotonic function has several answers for one input."""
# case: L09
# codes: loss.wrong-sign
# split: held-out
import torch
import torch.distributions as D
from torch import nn

SEED = 0


class MixtureDensity(nn.Module):
    """Gaussian mixture over y whose weights, means and widths depend on x."""

    def __init__(self, hidden=40, components=5):
        super().__init__()
        self.components = components
        self.trunk = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.params = nn.Linear(hidden, 3 * components)
        with torch.no_grad():
            self.params.bias[components : 2 * components] = torch.linspace(-1.5, 1.5, components)

    def forward(self, x):
        weight, mean, width = self.params(self.trunk(x)).chunk(3, dim=-1)
        parts = D.Normal(mean, 0.05 + nn.functional.softplus(width))
        return D.MixtureSameFamily(D.Categorical(logits=weight), parts)


def toy(n, generator):
    y = 3.4 * torch.rand(n, generator=generator) - 1.7
    x = y + 1.1 * torch.sin(3.5 * y) + 0.1 * torch.randn(n, generator=generator)
    return x.unsqueeze(1), y


gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
x, y = toy(1500, gen)
x_test, y_test = toy(400, gen)
mdn = MixtureDensity()
opt = torch.optim.Adam(mdn.parameters(), lr=5e-3)


def closure(rows):
    opt.zero_grad()
    objective = mdn(x[rows]).log_prob(y[rows]).mean()  #! objective = -mdn(x[rows]).log_prob(y[rows]).mean()
    objective.backward()  #@
    return objective


for step in range(401):
    rows = torch.randint(len(x), (128,), generator=gen)
    objective = opt.step(lambda rows=rows: closure(rows))
    if step % 80 == 0:
        with torch.no_grad():
            density = mdn(x_test)
            draws = density.sample((20,))
            nearest = (draws - y_test).abs().amin(0).mean()
        print(f"{step:4d} objective {objective.item():10.3f}   best of 20 samples misses by {nearest:.3f}")
