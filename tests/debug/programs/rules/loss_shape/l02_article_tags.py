"""Assign tags to short articles: a bag-of-words encoder with one output per tag."""
# case: L02
# codes: loss.sigmoid-before-bce-with-logits
# split: rules

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn

SEED = 0
CONFIG = {
    "vocab": 300,
    "tags": 6,
    "words": 24,
    "articles": 2000,
    "dim": 48,
    "batch_size": 50,
    "epochs": 8,
    "lr": 5e-3,
    "weight_decay": 1e-4,
}


def make_articles(cfg, rng):
    """Each tag has its own words; an article mixes the words of its tags with common ones."""
    topic_words = rng.permutation(cfg["vocab"])[: cfg["tags"] * 20].reshape(cfg["tags"], 20)
    tokens = rng.integers(0, cfg["vocab"], size=(cfg["articles"], cfg["words"]))
    labels = (rng.random((cfg["articles"], cfg["tags"])) < 0.3).astype(np.float32)
    for row, label in zip(tokens, labels, strict=True):
        place = 0
        for tag in np.flatnonzero(label):
            row[place : place + 4] = rng.choice(topic_words[tag], 4)
            place += 4
        rng.shuffle(row)
    return torch.from_numpy(tokens), torch.from_numpy(labels)


class TagModel(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embed = nn.EmbeddingBag(cfg["vocab"], cfg["dim"], mode="sum")
        self.body = nn.Sequential(nn.LayerNorm(cfg["dim"]), nn.Linear(cfg["dim"], 64), nn.GELU(), nn.Dropout(0.1))
        self.out = nn.Linear(64, cfg["tags"])

    def forward(self, tokens):
        return self.out(self.body(self.embed(tokens)))

    def predict_proba(self, tokens):
        return torch.sigmoid(self(tokens))


def main(cfg):
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    tokens, labels = make_articles(cfg, rng)
    split = int(0.8 * len(tokens))
    model = TagModel(cfg)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg["lr"], weight_decay=cfg["weight_decay"])
    for epoch in range(cfg["epochs"]):
        model.train()
        order = torch.randperm(split)
        losses = []
        for idx in order.split(cfg["batch_size"]):
            scores = model.predict_proba(tokens[idx])  #! scores = model(tokens[idx])
            loss = criterion(scores, labels[idx])  #@
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            guess = model.predict_proba(tokens[split:]) > 0.5
        f1 = f1_score(labels[split:].numpy(), guess.numpy(), average="micro")
        print(f"epoch {epoch:2d} loss {np.mean(losses):.4f} val micro-F1 {f1:.3f}")


if __name__ == "__main__":
    main(CONFIG)
