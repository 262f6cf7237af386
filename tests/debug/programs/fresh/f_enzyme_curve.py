"""Fit an enzyme model with inhibition by L-BFGS with a closure; parameters are logarithms, in a ParameterDict."""
# case: healthy
# codes: none
# split: fresh
import torch
from torch import nn

SEED = 0


class Kinetics(nn.Module):
    """v = vmax s / (km (1 + i / ki) + s)"""

    def __init__(self):
        super().__init__()
        self.log = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in ("vmax", "km", "ki")})

    def forward(self, s, i):
        p = {name: value.exp() for name, value in self.log.items()}
        return p["vmax"] * s / (p["km"] * (1 + i / p["ki"]) + s)


def measure(n):
    s, i = 10 * torch.rand(n) + 0.05, 4 * torch.rand(n)
    v = 7.5 * s / (2.2 * (1 + i / 0.6) + s)
    return s, i, v + 0.1 * torch.randn(n)


torch.manual_seed(SEED)
s, i, v = measure(400)
s_t, i_t, v_t = measure(200)
model = Kinetics()
opt = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=5, line_search_fn="strong_wolfe")
for outer in range(1, 13):

    def closure():
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(s, i), v)
        loss.backward()
        return loss

    loss = opt.step(closure)
    if outer % 3 == 0:
        with torch.no_grad():
            test = nn.functional.mse_loss(model(s_t, i_t), v_t)
        print(f"outer {outer}: loss {loss.item():.5f}, test {test.item():.5f}")
print({name: round(value.exp().item(), 2) for name, value in model.log.items()})
