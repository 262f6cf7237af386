"""Classify how a byte-valued telemetry channel moves, from its first differences, with dilated causal convolutions."""
# case: D05
# codes: data.integer-wraparound
# split: held-out

import numpy as np
import torch
import torch.nn.functional as F

SEED = 0
STEPS = 65
MOTIONS = ["wandering", "rising", "falling", "pulled back", "jumping"]


def channel(motion, rng):
    level = rng.uniform(90, 165)
    home, out = level, []
    for _ in range(STEPS):
        step = rng.normal(0, 2.5)
        if motion == 1:
            step += 1.0
        elif motion == 2:
            step -= 1.0
        elif motion == 3:
            step += 0.6 * (home - level)
        elif motion == 4 and rng.random() < 0.08:
            step += rng.choice([-20, 20])
        level = min(max(level + step, 0), 255)
        out.append(level)
    return np.array(out, dtype=np.uint8)


def features(bytes_):
    moves = np.diff(bytes_, axis=1)  #! moves = np.diff(bytes_.astype(np.int16), axis=1)
    return torch.from_numpy(moves.astype(np.float32) / 4)[:, None, :]


def conv(layer, x, dilation):
    weight, bias = layer
    pad = (weight.shape[-1] - 1) * dilation
    return F.conv1d(F.pad(x, (pad, 0)), weight, bias, dilation=dilation)


def network(theta, x):
    h = F.leaky_relu(conv(theta["in"], x, 1), 0.1)
    for name, dilation in (("a", 2), ("b", 4), ("c", 8)):
        h = h + F.leaky_relu(conv(theta[name], h, dilation), 0.1)
    pooled = torch.cat([h.mean(-1), h.amax(-1)], dim=1)
    weight, bias = theta["out"]
    return F.linear(pooled, weight, bias)


def parameters(width=24):
    shapes = {"in": (width, 1, 3), "a": (width, width, 3), "b": (width, width, 3), "c": (width, width, 3)}
    theta = {k: (torch.randn(s) / (s[1] * s[2]) ** 0.5, torch.zeros(s[0])) for k, s in shapes.items()}
    theta["out"] = (torch.randn(len(MOTIONS), 2 * width) * 0.05, torch.zeros(len(MOTIONS)))
    for pair in theta.values():
        for tensor in pair:
            tensor.requires_grad_(True)
    return theta


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
label = rng.integers(0, len(MOTIONS), 1250)
x = features(np.stack([channel(m, rng) for m in label]))
y = torch.from_numpy(label)
theta = parameters()
optimizer = torch.optim.Adam([t for pair in theta.values() for t in pair], lr=2e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=240)
for step in range(240):
    rows = torch.from_numpy(rng.choice(1000, 50, replace=False))
    loss = F.cross_entropy(network(theta, x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 40 == 39:
        with torch.no_grad():
            accuracy = (network(theta, x[1000:]).argmax(1) == y[1000:]).double().mean()
        print(f"{step + 1:4d} loss {loss.item():.3f} unseen {accuracy.item():.3f}")
