"""Find a bright cross in an image: a convolutional net regresses a heat map with a Gaussian peak at the cross."""
# case: O09
# codes: step.learning-rate-too-high
# split: held-out

import numpy as np
import torch
from torch import nn

SEED = 0
HPARAMS = dict(
    size=20,
    channels=12,
    batch=32,
    steps=200,
    momentum=0.9,
    lr=4.0,  #! lr=0.04,
)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def crosses(n, rng):
    s = HPARAMS["size"]
    images = rng.normal(0, 0.3, size=(n, 1, s, s)).astype(np.float32)
    where = rng.integers(3, s - 3, size=(n, 2))
    for image, (r, c) in zip(images, where):
        image[0, r - 2 : r + 3, c] += 1.0
        image[0, r, c - 2 : c + 3] += 1.0
    return torch.from_numpy(images), torch.from_numpy(where)


def conv_net(c):
    return nn.Sequential(
        nn.Conv2d(1, c, 5, padding=2), nn.LeakyReLU(0.1),
        nn.Conv2d(c, c, 3, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(c, 1, 3, padding=1),
    )


def peaks(where):
    axis = torch.arange(HPARAMS["size"], device=where.device)
    rows = torch.exp(-0.3 * (axis - where[:, :1]) ** 2)
    columns = torch.exp(-0.3 * (axis - where[:, 1:]) ** 2)
    return rows.unsqueeze(2) * columns.unsqueeze(1)


def heat_loss(net, x, y):
    return 10 * (net(x).squeeze(1) - peaks(y)).pow(2).mean()


def pixel_error(net, x, y):
    best = net(x).flatten(1).argmax(1)
    found = torch.stack([best // HPARAMS["size"], best % HPARAMS["size"]], 1)
    return (found - y).float().norm(dim=1).mean().item()


torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)
x, y = (t.to(device) for t in crosses(1024, rng))
x_val, y_val = (t.to(device) for t in crosses(256, rng))
net = conv_net(HPARAMS["channels"]).to(device)
optimizer = torch.optim.SGD(net.parameters(), lr=HPARAMS["lr"], momentum=HPARAMS["momentum"])  #@
for step in range(HPARAMS["steps"]):
    idx = torch.from_numpy(rng.choice(len(x), HPARAMS["batch"], replace=False))
    optimizer.zero_grad()
    loss = heat_loss(net, x[idx], y[idx])
    loss.backward()
    optimizer.step()
    if step % 25 == 0 or step == HPARAMS["steps"] - 1:
        with torch.no_grad():
            print("step", step, "train", round(loss.item(), 4), "val error", round(pixel_error(net, x_val, y_val), 3))
