"""Topics of short notes with an embedding bag; texts of different lengths are joined with offsets."""
# case: D18
# codes: data.split-overlap
# split: rules

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader

SEED = 0


@dataclass
class Config:
    words: int = 800
    topics: int = 5
    dim: int = 32
    lr: float = 5e-3
    batch_size: int = 32
    epochs: int = 12
    train_split: str = "train"
    val_split: str = "train"  #! val_split: str = "val"


def write_notes(config):
    """Notes of 5 to 14 words; every topic prefers some of the words."""
    taste = torch.randn(config.topics, config.words, generator=torch.Generator().manual_seed(11)).mul(1.1).softmax(1)
    notes = []
    for _ in range(800):
        topic = int(torch.randint(config.topics, ()))
        notes.append((torch.multinomial(taste[topic], int(torch.randint(5, 15, ())), replacement=True), topic))
    return {"train": notes[:550], "val": notes[550:]}


def collate(notes):
    texts, topics = zip(*notes, strict=True)
    starts = torch.tensor([0] + [len(text) for text in texts[:-1]]).cumsum(0)
    return torch.cat(texts), starts, torch.tensor(topics)


class NoteModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.bag = nn.EmbeddingBag(config.words, config.dim, mode="mean")
        self.drop = nn.Dropout(0.3)
        self.classify = nn.Linear(config.dim, config.topics)

    def forward(self, words, starts):
        return self.classify(self.drop(self.bag(words, starts)))


class Experiment:
    def __init__(self, config):
        torch.manual_seed(SEED)
        self.config, self.splits = config, write_notes(config)
        self.model = NoteModel(config)
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), lr=config.lr)

    def loader(self, split, shuffle=False):
        return DataLoader(self.splits[split], self.config.batch_size, shuffle=shuffle, collate_fn=collate)

    def run(self):
        train_loader = self.loader(self.config.train_split, shuffle=True)
        val_loader = self.loader(self.config.val_split)  #@
        for epoch in range(self.config.epochs):
            self.model.train()
            for words, starts, topics in train_loader:
                loss = nn.functional.cross_entropy(self.model(words, starts), topics)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            print(f"epoch {epoch:2d} loss {loss.item():.3f} val accuracy {self.accuracy(val_loader):.3f}")

    @torch.no_grad()
    def accuracy(self, loader):
        self.model.eval()
        hits = [self.model(words, starts).argmax(1) == topics for words, starts, topics in loader]
        return torch.cat(hits).float().mean().item()


Experiment(Config()).run()
