"""A deep narrow network (fourteen layers) that decides the mode of a heating system."""
# case: G05
# codes: model.vanishing-gradient
# split: fresh
import torch
from torch import nn

SEED = 0
DEPTH, WIDTH = 14, 32
ACT = nn.Sigmoid  #! ACT = nn.ReLU


def house(n):
    x = torch.rand(n, 5) * 2 - 1
    inside, outside, sun, people, hour = x.T
    need = 1.5 * (0.2 - inside) - 0.8 * outside - 0.7 * sun * torch.cos(3 * hour) - 0.3 * people
    return x, (need > -0.6).long() + (need > 0.0).long() + (need > 0.7).long()


def build():
    layers = [nn.Linear(5, WIDTH), ACT()]
    for _ in range(DEPTH - 2):
        layers += [nn.Linear(WIDTH, WIDTH), ACT()]  #@
    layers.append(nn.Linear(WIDTH, 4))
    net = nn.Sequential(*layers)
    for m in net:
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight)
            nn.init.zeros_(m.bias)
    return net


torch.manual_seed(SEED)
x, mode = house(1500)
x_t, mode_t = house(400)
net = build()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(1, 16):
    mean = 0.0
    for i in torch.randperm(1500).split(50):
        loss = nn.functional.cross_entropy(net(x[i]), mode[i])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        mean += loss.item() / 30
    if epoch % 3 == 0:
        with torch.no_grad():
            print(f"epoch {epoch:2d}  loss {mean:.4f}  accuracy {(net(x_t).argmax(1) == mode_t).float().mean():.3f}")
