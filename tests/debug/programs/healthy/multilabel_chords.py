"""Which notes sound in a chord? Multi-label recognition from spectra with positive weights."""
# case: healthy
# codes: none
# split: held-out

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import nn

SEED = 0
NOTES, SAMPLES, RATE = 10, 256, 2000.0
PITCH = 110 * 2 ** (np.arange(NOTES) * 2 / 12)


def chords(n, rng):
    active = rng.random((n, NOTES)) < 0.25
    t = np.arange(SAMPLES) / RATE
    wave = rng.normal(0, 0.6, (n, SAMPLES))
    for k, f in enumerate(PITCH):
        loud = active[:, k] * rng.uniform(0.6, 1.2, n)
        phase = rng.uniform(0, 2 * np.pi, (n, 1))
        wave += loud[:, None] * (np.sin(2 * np.pi * f * t + phase) + 0.4 * np.sin(4 * np.pi * f * t + 2 * phase))
    spectrum = np.log1p(np.abs(np.fft.rfft(wave * np.hanning(SAMPLES))))
    return spectrum.astype(np.float32), active.astype(np.float32)


def batches(x, y, size, rng):
    order = rng.permutation(len(x))
    for start in range(0, len(order), size):
        pick = order[start : start + size]
        yield torch.from_numpy(x[pick]), torch.from_numpy(y[pick])


def main():
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    x, y = chords(2500, rng)
    xv, yv = chords(500, rng)
    mean, std = x.mean(0), x.std(0)
    x, xv = (x - mean) / std, (xv - mean) / std
    model = nn.Sequential(nn.Linear(x.shape[1], 128), nn.SiLU(), nn.Dropout(0.3), nn.Linear(128, NOTES))
    positive = torch.from_numpy(y.mean(0))
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=((1 - positive) / positive).sqrt())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    for epoch in range(10):
        model.train()
        losses = []
        for xb, yb in batches(x, y, 50, rng):
            loss = loss_fn(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            scores = model(torch.from_numpy(xv)).sigmoid().numpy()
        exact = ((scores > 0.5) == yv).all(1).mean()
        print(f"epoch {epoch}: loss {np.mean(losses):.3f} val mAP {average_precision_score(yv, scores, average='macro'):.3f} exact chords {exact:.3f}")


main()
