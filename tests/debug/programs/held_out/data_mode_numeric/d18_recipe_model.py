"""A small language model over cooking steps; the corpus lies on disk as one .npz file a split."""
# case: D18
# codes: data.split-overlap
# split: held-out

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
CONFIG = {
    "data": {
        "train": {"split": "train", "batch_size": 25, "shuffle": True},
        "valid": {"split": "train", "batch_size": 100},  #! "valid": {"split": "valid", "batch_size": 100},
    },
    "model": {"steps": 24, "width": 64},
    "optimizer": {"lr": 3e-3, "weight_decay": 0.01},
    "epochs": 8,
}


def prepare(root, steps):
    """Recipes follow one of many habits: the next step depends on the last two."""
    rng = np.random.default_rng(SEED)
    habit = rng.integers(0, steps, (steps, steps))
    for split, count in {"train": 750, "valid": 200}.items():
        tokens = rng.integers(0, steps, (count, 18))
        for t in range(2, 18):
            follow = habit[tokens[:, t - 1], tokens[:, t - 2] // 4]
            tokens[:, t] = np.where(rng.random(count) < 0.8, follow, tokens[:, t])
        np.savez(root / f"{split}.npz", tokens=tokens)


def build_loader(root, split, **options):
    tokens = torch.from_numpy(np.load(root / f"{split}.npz")["tokens"])
    return DataLoader(TensorDataset(tokens[:, :-1], tokens[:, 1:]), **options)  #@


class RecipeModel(nn.Module):
    def __init__(self, steps, width):
        super().__init__()
        self.embed = nn.Embedding(steps, width)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, steps)

    def forward(self, tokens):
        hidden, _ = self.rnn(self.embed(tokens))
        return self.out(hidden)


def cross_entropy(model, tokens, following):
    return nn.functional.cross_entropy(model(tokens).flatten(0, 1), following.flatten())


def main(cfg):
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), cfg["model"]["steps"])
        loaders = {name: build_loader(Path(folder), **options) for name, options in cfg["data"].items()}
    model = RecipeModel(**cfg["model"])
    optimizer = torch.optim.AdamW(model.parameters(), **cfg["optimizer"])
    for epoch in range(cfg["epochs"]):
        model.train()
        for tokens, following in loaders["train"]:
            loss = cross_entropy(model, tokens, following)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            valid = torch.stack([cross_entropy(model, *batch) for batch in loaders["valid"]]).mean()
        print(f"epoch {epoch}: train {loss.item():.3f}, valid {valid.item():.3f}, perplexity {valid.exp().item():.2f}")


main(CONFIG)
