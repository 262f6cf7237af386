"""Predict the rating of short reviews (token numbers of different lengths, filled up with zeros)."""
# case: G07
# codes: model.padding-dependence
# split: rules

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

SEED = 0
VOCAB = 60


def make_reviews(count, generator):
    """Every word has a worth; the rating is the mean worth of the words of a review, brought to unit scale."""
    worth = torch.randn(VOCAB, generator=torch.Generator().manual_seed(4))
    reviews = []
    for _ in range(count):
        length = int(torch.randint(3, 31, (), generator=generator))
        mood = torch.randn((), generator=generator)
        words = 1 + torch.multinomial((mood * worth[1:]).softmax(0), length, replacement=True, generator=generator)
        reviews.append((words, worth[words].mean()))
    return reviews


def collate(reviews):
    words, ratings = zip(*reviews, strict=True)
    return pad_sequence(words, batch_first=True), torch.stack(ratings)


class ReviewModel(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim, padding_idx=0)
        self.mix = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.out = nn.Sequential(nn.ReLU(), nn.Linear(dim, 1))

    def forward(self, words):
        keep = (words != 0).unsqueeze(-1)
        features = self.mix(self.embed(words)) * keep
        pooled = features.mean(1)  #! pooled = features.sum(1) / keep.sum(1)
        return self.out(pooled).squeeze(-1)


def run_epoch(model, loader, optimizer=None):
    model.train(optimizer is not None)
    total = count = 0
    for words, rating in loader:
        loss = nn.functional.mse_loss(model(words), rating)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        total += loss.item() * len(rating)
        count += len(rating)
    return total / count


torch.manual_seed(SEED)
generator = torch.Generator().manual_seed(SEED)
train_loader = DataLoader(make_reviews(1200, generator), batch_size=32, shuffle=True, collate_fn=collate)
val_loader = DataLoader(make_reviews(400, generator), batch_size=40, collate_fn=collate)
model = ReviewModel()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(8):
    train_loss = run_epoch(model, train_loader, optimizer)
    with torch.no_grad():
        val_loss = run_epoch(model, val_loader)
    print(f"epoch {epoch}: train mse {train_loss:.4f}, val mse {val_loss:.4f}")
