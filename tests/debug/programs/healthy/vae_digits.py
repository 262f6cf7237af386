"""Variational autoencoder on binarised digits."""
# case: healthy
# codes: none
# split: rules

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class VAE(nn.Module):
    def __init__(self, n_in=64, hidden=128, latent=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU())
        self.mu = nn.Linear(hidden, latent)
        self.log_var = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, n_in))

    def forward(self, x):
        h = self.encoder(x)
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu
        if self.training:
            z = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
        return self.decoder(z), mu, log_var


def elbo_terms(logits, x, mu, log_var):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    kl = -0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(1).mean()
    return reconstruction, kl


pixels = torch.tensor(load_digits().data, dtype=torch.float32)
pixels = (pixels > 7).float()[torch.randperm(len(pixels))]
train, valid = pixels[:1500], pixels[1500:]
p = train.mean(0).clamp(1e-3, 1 - 1e-3)
print(f"independent pixels: {F.binary_cross_entropy(p.expand_as(valid), valid, reduction='sum') / len(valid):.2f} nats per image")

vae = VAE()
optimizer = torch.optim.Adam(vae.parameters(), lr=4e-3)
for epoch in range(1, 21):
    vae.train()
    for idx in torch.randperm(len(train)).split(100):
        x = train[idx]
        logits, mu, log_var = vae(x)
        reconstruction, kl = elbo_terms(logits, x, mu, log_var)
        loss = reconstruction + kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 4 == 0:
        vae.eval()
        with torch.no_grad():
            logits, mu, log_var = vae(valid)
            v_rec, v_kl = elbo_terms(logits, valid, mu, log_var)
        print(f"epoch {epoch}: train {loss.item():.2f} | valid reconstruction {v_rec:.2f} KL {v_kl:.2f}")
