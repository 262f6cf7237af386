"""Variational autoencoder of digit images; gradients of several batches are added up before each step."""
# case: O15
# codes: step.accumulation-unscaled, step.gradients-cleared-too-soon
# split: held-out

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0
WINDOW = 16
EPOCHS = 14


class VAE(nn.Module):
    def __init__(self, latent=6):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2 * latent))
        self.decode = nn.Sequential(nn.Linear(latent, 64), nn.SiLU(), nn.Linear(64, 64))

    def forward(self, x):
        mean, log_var = self.encode(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp() if self.training else mean
        return self.decode(z), mean, log_var


def elbo(output, x):
    logits, mean, log_var = output
    rebuilt = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    kl = 0.5 * (mean.square() + log_var.exp() - log_var - 1).sum(1)
    return (rebuilt + kl).mean()


def main():
    torch.manual_seed(SEED)
    x = torch.tensor(load_digits().data, dtype=torch.float32) / 16
    train_set, val_set = random_split(TensorDataset(x), [1500, len(x) - 1500])
    train = DataLoader(train_set, batch_size=16, shuffle=True)
    val = DataLoader(val_set, batch_size=128)
    vae = VAE()
    optimizer = torch.optim.Adam(vae.parameters(), lr=5e-3)
    batches = len(train)
    for epoch in range(EPOCHS):
        vae.train()
        optimizer.zero_grad()
        losses = []
        for i, (images,) in enumerate(train):
            window = min(WINDOW, batches - i // WINDOW * WINDOW)
            loss = elbo(vae(images), images)
            (loss / window).backward()
            losses.append(loss.item())
            if (i + 1) % WINDOW == 0:  #! if (i + 1) % WINDOW == 0 or i + 1 == batches:
                optimizer.step()  #@
                optimizer.zero_grad()
        vae.eval()
        with torch.no_grad():
            score = sum(elbo(vae(images), images).item() * len(images) for (images,) in val) / len(val_set)
        print(f"epoch {epoch + 1}: train {sum(losses) / batches:.3f}, validation {score:.3f}")


main()
