"""Do two images show the same digit?  A siamese network compares the two embeddings."""
# case: L08
# codes: loss.single-unit-softmax
# split: held-out
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class DigitPairs(Dataset):
    """Half of the pairs show the same digit; partners are drawn once."""

    def __init__(self, images, digits, generator):
        self.images, self.digits = images, digits
        self.same = torch.rand(len(images), generator=generator) < 0.5
        self.partner = [self.draw(i, generator) for i in range(len(images))]

    def draw(self, i, generator):
        match = self.digits == self.digits[i]
        match[i] = False
        candidates = (match if self.same[i] else self.digits != self.digits[i]).nonzero().flatten()
        return candidates[torch.randint(len(candidates), (1,), generator=generator)].item()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], self.images[self.partner[i]], self.same[i].float()


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 48),
        )
        self.judge = nn.Sequential(nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, left, right):
        a, b = self.encoder(left), self.encoder(right)
        verdict = self.judge(torch.cat([(a - b).abs(), a * b], dim=1))
        return torch.softmax(verdict, dim=1).squeeze(1)  #! return torch.sigmoid(verdict).squeeze(1)


def main():
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images), generator=generator)
    train_rows, val_rows = order[:1400], order[1400:]
    train = DataLoader(DigitPairs(images[train_rows], labels[train_rows], generator), 50, shuffle=True)
    val = DataLoader(DigitPairs(images[val_rows], labels[val_rows], generator), 100)
    model, bce = Siamese(), nn.BCELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(8):
        model.train()
        for left, right, same in train:
            loss = bce(model(left, right), same)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            hits = torch.cat([(model(left, right) > 0.5) == (same > 0.5) for left, right, same in val])
        print(f"epoch {epoch}  last batch loss {loss.item():.3f}  pairs judged right {hits.float().mean():.3f}")


if __name__ == "__main__":
    main()
