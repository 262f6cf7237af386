"""Name the note (one of twelve) played by an instrument from its constant-Q spectrum, six bins a semitone."""
# case: D19
# codes: data.harmful-augmentation
# split: held-out

import math

import numpy as np
import torch

SEED = 0
NOTES, PER_NOTE, BINS = 12, 6, 156
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def play(notes):
    """Fundamental and overtones as narrow bumps on a logarithmic frequency axis, over a noisy floor."""
    grid = np.arange(BINS)
    spectrum = rng.normal(0, 0.15, (len(notes), BINS))
    for overtone in (1, 2, 3):
        place = 12 + PER_NOTE * (notes + 12 * math.log2(overtone) / 1.3) + rng.normal(0, 0.6, len(notes))
        loud = rng.uniform(0.5, 1.5, len(notes)) / overtone
        spectrum += loud[:, None] * np.exp(-((grid - place[:, None]) ** 2) / 3)
    return ((spectrum - 0.06) / 0.25).astype(np.float32)


def vary(spectrum):
    """A differently tuned instrument, louder or softer."""
    out = np.empty_like(spectrum)
    for i, row in enumerate(spectrum):
        detune = int(rng.integers(-24, 25))  #! detune = int(rng.integers(-1, 2))
        out[i] = rng.uniform(0.8, 1.25) * np.roll(row, detune)  #@
    return out


def dense(fan_in, fan_out):
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(fan_out, fan_in).uniform_(-bound, bound).requires_grad_(), torch.zeros(fan_out, requires_grad=True)


layers = [dense(BINS, 96), dense(96, 96), dense(96, NOTES)]


def logits(x):
    for weight, bias in layers[:-1]:
        x = torch.nn.functional.softplus(x @ weight.T + bias) - math.log(2)
    weight, bias = layers[-1]
    return x @ weight.T + bias


fit_notes, test_notes = rng.integers(0, NOTES, 1000), rng.integers(0, NOTES, 300)
fit_spectra, test_spectra = play(fit_notes), torch.from_numpy(play(test_notes))
optimizer = torch.optim.Adam([tensor for layer in layers for tensor in layer], lr=2e-3)
recent = []
for step in range(1, 351):
    rows = rng.choice(len(fit_notes), 50, replace=False)
    x, note = torch.from_numpy(vary(fit_spectra[rows])), torch.from_numpy(fit_notes[rows])
    log_p = torch.log_softmax(logits(x), dim=1)
    loss = -log_p[torch.arange(len(note)), note].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    recent.append(loss.item())
    if step % 50 == 0:
        with torch.no_grad():
            right = logits(test_spectra).argmax(1).numpy() == test_notes
        print(f"step {step:3d}  loss {np.mean(recent[-50:]):.3f}  test accuracy {right.mean():.3f}")
