"""Beer styles from chemical readings; settings in a dictionary as they were handed over from an older project."""
# case: M06
# codes: mode.dropout-too-high
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)
settings = dict(styles=6, readings=14, units=[48, 48, 32], keep=0.9, rate=3e-3, rounds=25, batch=40)


def brew(n):
    style = torch.randint(0, settings["styles"], (n,))
    g = torch.Generator().manual_seed(5)
    centre = torch.randn(settings["styles"], settings["readings"], generator=g)
    return 1.1 * centre[style] + 0.9 * torch.randn(n, settings["readings"]), style


def build(s):
    parts, before = [], s["readings"]
    for units in s["units"]:
        parts += [nn.Linear(before, units), nn.ReLU(), nn.Dropout(s["keep"])]  #! parts += [nn.Linear(before, units), nn.ReLU(), nn.Dropout(1 - s["keep"])]
        before = units
    return nn.Sequential(*parts, nn.Linear(before, s["styles"]))


x, style = brew(1200)
x_test, style_test = brew(400)
net = build(settings)
opt = torch.optim.Adam(net.parameters(), lr=settings["rate"])
for r in range(settings["rounds"]):
    net.train()
    tot = 0.0
    for i in torch.randperm(len(x)).split(settings["batch"]):
        loss = nn.functional.cross_entropy(net(x[i]), style[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 30
    if r % 5 == 4:
        net.eval()
        with torch.no_grad():
            print(f"round {r + 1}: loss {tot:.3f}, test accuracy {(net(x_test).argmax(1) == style_test).float().mean():.3f}")
