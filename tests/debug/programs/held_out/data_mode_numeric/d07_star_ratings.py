"""Predict how many stars (1 to 5) a tokenised review was given, with a bag of embeddings."""
# case: D07
# codes: data.label-support
# split: held-out

import torch
from torch import nn

SEED = 0
VOCABULARY = 300
NAMES = ["awful", "poor", "fair", "good", "superb"]
torch.manual_seed(SEED)


def write_reviews(count):
    """Ragged reviews: words of a mood are more frequent in reviews of that mood."""
    stars = torch.randint(1, 6, (count,))
    taste = torch.ones(5, VOCABULARY)
    for mood in range(5):
        taste[mood, mood * 20 : mood * 20 + 20] = 5.0
    reviews = []
    for star in stars.tolist():
        length = int(torch.randint(15, 60, ()))
        reviews.append(torch.multinomial(taste[star - 1], length, replacement=True))
    return reviews, stars


def flatten(reviews):
    lengths = torch.tensor([0] + [len(review) for review in reviews[:-1]])
    return torch.cat(reviews), lengths.cumsum(0)


class BagOfWords(nn.Module):
    def __init__(self, classes, width=32):
        super().__init__()
        self.words = nn.EmbeddingBag(VOCABULARY, width, mode="mean")
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, classes)

    def forward(self, words, offsets):
        return self.score(self.norm(self.words(words, offsets)))


reviews, stars = write_reviews(1500)
target = stars  #! target = stars - 1
classes = int(target.max()) + 1  #@
reviews_fit, reviews_test = reviews[:1200], reviews[1200:]
target_fit, target_test = target[:1200], target[1200:]

model = BagOfWords(classes)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for epoch in range(10):
    model.train()
    running = 0.0
    for chunk in torch.randperm(1200).view(-1, 40):
        loss = criterion(model(*flatten([reviews_fit[i] for i in chunk])), target_fit[chunk])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item() / 30
    print(f"epoch {epoch}: {running:.4f}")

model.eval()
with torch.no_grad():
    guess = model(*flatten(reviews_test)).argmax(1)
print(f"accuracy {(guess == target_test).float().mean().item():.3f}")
for index, name in enumerate(NAMES):
    chosen = (guess == index).sum().item()
    right = ((guess == index) & (target_test == index)).sum().item()
    print(f"{name:>7}: given {chosen:3d} times, {right:3d} of them right")
