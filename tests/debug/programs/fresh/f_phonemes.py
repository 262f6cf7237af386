"""Vowel classes numbered from one, as in the phonetics table that they come from; formant features."""
# case: D07
# codes: data.label-support
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)
VOWELS = {"a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410), "u": (300, 870, 2240)}
CODE = {v: k for k, v in enumerate(VOWELS, start=1)}


def speak(n):
    rows, codes = [], []
    for _ in range(n):
        v = list(VOWELS)[int(torch.randint(5, ()))]
        f = torch.tensor(VOWELS[v]) * (1 + 0.11 * torch.randn(3)) * (1 + 0.06 * torch.randn(()))
        rows.append(torch.log(f))
        codes.append(CODE[v])  #! codes.append(CODE[v] - 1)
    return torch.stack(rows), torch.tensor(codes)


x, k = speak(700)
xt, kt = speak(200)
mean, std = x.mean(0), x.std(0)
x, xt = (x - mean) / std, (xt - mean) / std
net = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, len(VOWELS) + 1))  #! net = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, len(VOWELS)))
opt = torch.optim.RAdam(net.parameters(), lr=5e-3)
for step in range(1, 601):
    i = torch.randint(700, (64,))
    loss = nn.functional.cross_entropy(net(x[i]), k[i])  #@
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 150 == 0:
        with torch.no_grad():
            p = net(xt).softmax(1)
        acc = (p.argmax(1) == kt).float().mean()
        print(f"step {step}: loss {loss:.3f} accuracy {acc:.3f}", "outputs", p.shape[1], "mean share of each:", [round(v, 2) for v in p.mean(0).tolist()])
