"""Hinge GAN with spectral normalisation on 8x8 digits; quality is judged by a small classifier trained beforehand."""
# case: healthy
# codes: none
# split: rules

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

SEED = 0
torch.manual_seed(SEED)
LATENT, BATCH = 16, 64

digits = load_digits()
images = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1
labels = torch.tensor(digits.target)

judge = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
judge_opt = torch.optim.Adam(judge.parameters(), lr=5e-3)
for _ in range(10):
    for idx in torch.randperm(len(images)).split(100):
        judge_loss = F.cross_entropy(judge(images[idx]), labels[idx])
        judge_opt.zero_grad()
        judge_loss.backward()
        judge_opt.step()
judge.eval().requires_grad_(False)

generator = nn.Sequential(
    nn.Linear(LATENT, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64), nn.Tanh()
)
critic = nn.Sequential(
    spectral_norm(nn.Linear(64, 128)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(128, 128)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(128, 1))
)
g_opt = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
d_opt = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))


def report(step, d_loss, g_loss):
    generator.eval()
    with torch.no_grad():
        fake = generator(torch.randn(1000, LATENT))
        probs = judge(fake).softmax(1)
        mean_gap = (fake.mean(0) - images.mean(0)).abs().mean()
    generator.train()
    kinds = (torch.bincount(probs.argmax(1), minlength=10) > 20).sum()
    print(
        f"step {step}: d {d_loss:.3f} g {g_loss:.3f} mean-image gap {mean_gap:.3f} "
        f"spread {fake.std(0).mean():.2f} (real {images.std(0).mean():.2f}) kinds of digits {kinds}"
    )


for step in range(601):
    real = images[torch.randint(len(images), (BATCH,))]
    with torch.no_grad():
        fake = generator(torch.randn(BATCH, LATENT))
    d_loss = F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake)).mean()
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()

    g_loss = -critic(generator(torch.randn(BATCH, LATENT))).mean()
    g_opt.zero_grad()
    g_loss.backward()
    g_opt.step()
    if step % 120 == 0:
        report(step, d_loss.item(), g_loss.item())
