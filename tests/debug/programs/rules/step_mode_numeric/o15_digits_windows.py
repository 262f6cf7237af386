"""Accumulated training of a classifier on handwritten digits, micro-batches of sixteen."""
# case: O15
# codes: step.accumulation-unscaled, step.gradients-cleared-too-soon
# split: rules

import torch
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0


def get_loaders(batch_size):
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).float().flatten(1).div(16).sub(0.305).div(0.376)
    dataset = TensorDataset(pixels, torch.from_numpy(bunch.target))
    train, val = random_split(dataset, [752, len(dataset) - 752], torch.Generator().manual_seed(SEED))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(val, 512)


class Accumulator:
    """Splits an epoch into windows of `size` micro-batches and steps once a window."""

    def __init__(self, optimizer, size, batches):
        self.optimizer, self.size, self.batches = optimizer, size, batches

    def weight(self, i):
        start = i - i % self.size
        return 1.0 / min(self.size, self.batches - start)

    def closes(self, i):
        return (i + 1) % self.size == 0  #! return (i + 1) % self.size == 0 or i + 1 == self.batches

    def step(self):
        self.optimizer.step()
        self.optimizer.zero_grad()


def train_epoch(model, loader, accumulator):
    model.train()
    accumulator.optimizer.zero_grad()  #@
    total = 0.0
    for i, (pixels, digit) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(pixels), digit)
        (loss * accumulator.weight(i)).backward()
        total += loss.item()
        if accumulator.closes(i):  #@
            accumulator.step()
    return total / len(loader)


def evaluate(model, loader):
    model.eval()
    loss = right = count = 0
    with torch.no_grad():
        for pixels, digit in loader:
            scores = model(pixels)
            loss += nn.functional.cross_entropy(scores, digit, reduction="sum").item()
            right += (scores.argmax(1) == digit).sum().item()
            count += len(digit)
    return loss / count, right / count


def main():
    torch.manual_seed(SEED)
    train_loader, val_loader = get_loaders(batch_size=16)
    model = nn.Sequential(nn.Linear(64, 80), nn.ReLU(), nn.Dropout(0.1), nn.Linear(80, 10))
    accumulator = Accumulator(optim.Adam(model.parameters(), lr=4e-3), size=16, batches=len(train_loader))
    for epoch in range(1, 31):
        loss = train_epoch(model, train_loader, accumulator)
        if epoch % 5 == 0:
            print("epoch %d  train %.4f  val %.4f  accuracy %.3f" % (epoch, loss, *evaluate(model, val_loader)))


if __name__ == "__main__":
    main()
