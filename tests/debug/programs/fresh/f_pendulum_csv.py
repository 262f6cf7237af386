"""Period of a damped pendulum from its logged settings; the log is a small CSV text that is parsed by hand."""
# case: L05
# codes: loss.broadcast
# split: fresh
import csv
import io
import math
import random

import torch
from torch import nn, optim

SEED = 0


def write_log(rows):
    buf = io.StringIO()
    w = csv.writer(buf)
    w.writerow(["length_m", "angle_rad", "damping", "gravity", "period_s"])
    for _ in range(rows):
        L, a, c, g = random.uniform(0.2, 2), random.uniform(0.05, 1.5), random.uniform(0, 0.4), random.choice([9.81, 1.62, 3.71])
        T = 2 * math.pi * math.sqrt(L / g) * (1 + a * a / 16 + 11 * a**4 / 3072) / math.sqrt(1 - c * c)
        w.writerow([f"{L:.4f}", f"{a:.4f}", f"{c:.4f}", g, f"{T + random.gauss(0, 0.03):.4f}"])
    return buf.getvalue()


def read_log(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [n for n in rows[0] if n != "period_s"]
    x = torch.tensor([[float(r[n]) for n in names] for r in rows])
    t = torch.tensor([float(r["period_s"]) for r in rows])
    return (x - x.mean(0)) / x.std(0), t


def main():
    random.seed(SEED)
    torch.manual_seed(SEED)
    x, t = read_log(write_log(1200))
    x_fit, t_fit, x_new, t_new = x[:1000], t[:1000], x[1000:], t[1000:]
    f = nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))
    nn.init.constant_(f[-1].bias, t_fit.mean().item())
    opt = optim.RMSprop(f.parameters(), lr=2e-3)
    for ep in range(1, 31):
        losses = []
        for k in torch.randperm(1000).split(40):
            err = f(x_fit[k]) - t_fit[k]  #! err = f(x_fit[k]).squeeze(1) - t_fit[k]
            loss = err.pow(2).mean()  #@
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        if ep % 6 == 0:
            with torch.no_grad():
                rmse = (f(x_new)[:, 0] - t_new).square().mean().sqrt()
            print(f"epoch {ep}: mse {sum(losses) / len(losses):.4f}; held-out rmse {rmse:.3f} s")


main()
