"""A committee of eight regressors trained at once with torch.func (vmap over stacked parameters), manual updates."""
# case: healthy
# codes: none
# split: fresh
import copy

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

SEED = 0
torch.manual_seed(SEED)
MEMBERS = 8


def member():
    return nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


nets = [member() for _ in range(MEMBERS)]
theta, buffers = stack_module_state(nets)
skeleton = copy.deepcopy(nets[0]).to("meta")


def predict(theta, x):
    return functional_call(skeleton, (theta, {}), (x,)).squeeze(-1)


def loss(theta, x, y):
    return ((predict(theta, x) - y) ** 2).mean()


x = torch.cat([torch.rand(150) * 1.5 - 2, torch.rand(150) * 1.5 + 0.5])[:, None]
y = torch.sin(2.5 * x[:, 0]) + 0.1 * torch.randn(300)
theta = {k: v.detach() for k, v in theta.items()}
speed = {k: torch.zeros_like(v) for k, v in theta.items()}
step = vmap(grad(loss), in_dims=(0, 0, 0))
for it in range(1, 801):
    pick = torch.randint(0, 300, (MEMBERS, 64))
    g = step(theta, x[pick], y[pick])
    for k in theta:
        speed[k] = 0.9 * speed[k] + g[k]
        theta[k] = theta[k] - 0.02 * speed[k]
    if it % 200 == 0:
        out = vmap(predict, in_dims=(0, None))(theta, x)
        print(f"iteration {it}: committee mse {((out.mean(0) - y) ** 2).mean():.4f}, spread inside {out.std(0).mean():.3f}")
outside = vmap(predict, in_dims=(0, None))(theta, torch.linspace(3, 4, 50)[:, None])
print(f"spread outside the data {outside.std(0).mean():.3f}")
