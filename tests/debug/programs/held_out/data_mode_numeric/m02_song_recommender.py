"""Two-tower recommender: will this listener finish this song? Both phases of an epoch share one loop."""
# case: M02
# codes: mode.evaluating-in-train
# split: held-out

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0
LISTENERS, SONGS = 140, 100


def first_plays(count):
    taste, style = torch.randn(LISTENERS, 4), torch.randn(SONGS, 4)
    pair = torch.randperm(LISTENERS * SONGS)[:count]
    listener, song = pair // SONGS, pair % SONGS
    finished = torch.bernoulli(torch.sigmoid(4 * (taste[listener] * style[song]).sum(1)))
    return TensorDataset(listener, song, finished)


def tower(items, width):
    return nn.Sequential(nn.Embedding(items, width), nn.Linear(width, width), nn.BatchNorm1d(width), nn.Dropout(0.2))


class TwoTowers(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.listener, self.song = tower(LISTENERS, width), tower(SONGS, width)
        self.bias = nn.Parameter(torch.zeros(()))
        self.scale = width**-0.5

    def forward(self, listener, song):
        return (self.listener(listener) * self.song(song)).sum(-1) * self.scale + self.bias


torch.manual_seed(SEED)
train, valid = random_split(first_plays(14000), [12000, 2000])
loaders = {
    "train": DataLoader(train, batch_size=200, shuffle=True),
    "valid": DataLoader(valid, batch_size=50),
}
model = TwoTowers()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2, weight_decay=1e-5)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.3)
criterion = nn.BCEWithLogitsLoss()

for epoch in range(8):
    summary = []
    for phase, loader in loaders.items():
        model.train()  #! model.train(phase == "train")
        total, right = 0.0, 0
        for listener, song, finished in loader:
            with torch.set_grad_enabled(phase == "train"):
                logits = model(listener, song)  #@
                loss = criterion(logits, finished)
            if phase == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(song)
            right += ((logits > 0) == finished.bool()).sum().item()
        count = len(loader.dataset)
        summary.append(f"{phase} loss {total / count:.4f} accuracy {right / count:.3f}")
    scheduler.step()
    print(f"epoch {epoch}:", ", ".join(summary))
