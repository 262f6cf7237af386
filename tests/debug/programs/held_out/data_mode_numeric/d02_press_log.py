"""Predict the fault group of a hydraulic press from one line of its byte-valued log."""
# case: D02
# codes: data.label-support
# split: held-out

import io
import random

import numpy as np
import torch
import torch.nn.functional as F

SEED = 0
SENSORS, GROUPS = 12, 6


def fake_log(lines, rng):
    """The text that the press writes: twelve sensor bytes, then the fault group."""
    centres = rng.integers(70, 186, (GROUPS, SENSORS))
    out = io.StringIO()
    for _ in range(lines):
        group = rng.integers(GROUPS)
        values = np.clip(rng.normal(centres[group], 28), 0, 255).astype(int)
        out.write(";".join(map(str, [*values, group])) + "\n")
    out.seek(0)
    return out


def read_log(handle):
    table = np.loadtxt(handle, delimiter=";", dtype=np.float32)
    table /= 255.0  #! table[:, :-1] /= 255.0
    features, group = table[:, :-1], table[:, -1]
    return torch.tensor(features) * 2 - 1, torch.tensor(group).long()  #@


def init(*sizes):
    weights = []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        weights += [torch.randn(fan_in, fan_out) * (2 / fan_in) ** 0.5, torch.zeros(fan_out)]
    return [w.requires_grad_() for w in weights]


def forward(p, x):
    h = F.gelu(x @ p[0] + p[1])
    h = F.gelu(h @ p[2] + p[3])
    return h @ (0.3 * p[4]) + p[5]


torch.manual_seed(SEED)
random.seed(SEED)
x, group = read_log(fake_log(1500, np.random.default_rng(SEED)))
x_train, x_valid = x[:1200], x[1200:]
g_train, g_valid = group[:1200], group[1200:]

params = init(SENSORS, 48, 48, GROUPS)
optimizer = torch.optim.Adam(params, lr=4e-3)
rows = list(range(len(x_train)))
step = 0
while step < 300:
    random.shuffle(rows)
    for start in range(0, len(rows), 60):
        pick = rows[start : start + 60]
        logits = forward(params, x_train[pick])
        loss = F.cross_entropy(logits, g_train[pick])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % 50 == 0:
            with torch.no_grad():
                hits = forward(params, x_valid).argmax(-1) == g_valid
            print(f"step {step:4d}  train {loss.item():.4f}  valid accuracy {hits.float().mean().item():.3f}")
