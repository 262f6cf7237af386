"""Which of ten birds sings? Mel-like spectrogram patches and a two-layer conv net."""
# case: L07
# codes: loss.mismatched-task, step.learning-rate-too-low
# split: fresh
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
nSpecies, nMels, nFrames = 10, 20, 24


def makeCalls(count, rng):
    species = rng.integers(nSpecies, size=count)
    spec = rng.normal(0, 0.5, (count, 1, nMels, nFrames))
    frames = np.arange(nFrames)
    for i, s in enumerate(species):
        start = rng.integers(0, 8)
        pitch = 2 + 1.6 * s + (frames - start) * (0.35 if s % 2 else -0.1) * 0.4
        rows = np.clip(np.round(pitch), 0, nMels - 1).astype(int)
        on = (frames >= start) & (frames < start + 14)
        spec[i, 0, rows[on], frames[on]] += 2.2
    return torch.tensor(spec, dtype=torch.float32), torch.tensor(species)


class BirdNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.convA = nn.Conv2d(1, 12, (5, 3), padding=(2, 1))
        self.convB = nn.Conv2d(12, 16, 3, padding=1)
        self.pool = nn.MaxPool2d((1, 4))
        self.head = nn.Linear(16 * nMels * (nFrames // 8), nSpecies)

    def forward(self, spec):
        h = self.pool(torch.relu(self.convA(spec)))
        h = nn.functional.max_pool2d(torch.relu(self.convB(h)), (1, 2))
        return self.head(h.flatten(1))


def trainBirds():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    trainSet, testSet = TensorDataset(*makeCalls(800, rng)), TensorDataset(*makeCalls(200, rng))
    net = BirdNet()
    opt = torch.optim.SGD(net.parameters(), lr=0.004, momentum=0.9)  #@
    for epoch in range(9):
        lossSum = 0
        for spec, species in DataLoader(trainSet, batch_size=32, shuffle=True):
            oneHot = nn.functional.one_hot(species, nSpecies).float()
            out = net(spec)
            loss = nn.functional.mse_loss(torch.sigmoid(out), oneHot)  #! loss = nn.functional.cross_entropy(out, oneHot)
            opt.zero_grad()
            loss.backward()
            opt.step()
            lossSum += loss.item()
        with torch.no_grad():
            correct = sum((net(s).argmax(1) == k).sum().item() for s, k in DataLoader(testSet, batch_size=100))
        print(f"epoch {epoch + 1}/9  loss {lossSum / 25:.4f}  test {correct / 2:.1f} %")


if __name__ == "__main__":
    trainBirds()
