"""Find sequences that contain a DNA motif: one-hot convolution and max pooling."""
# case: S06
# codes: metric.wrong
# split: held-out
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
BASES = "ACGT"
MOTIF = "TGACGTCA"


def random_dna(n, length, rng):
    return rng.integers(0, 4, (n, length))


def plant(sequences, rng, mutation=0.08):
    motif = np.array([BASES.index(base) for base in MOTIF])
    for row in sequences:
        at = rng.integers(0, len(row) - len(motif))
        copy = np.where(rng.random(len(motif)) < mutation, rng.integers(0, 4, len(motif)), motif)
        row[at : at + len(motif)] = copy
    return sequences


def dataset(n, rng, length=60):
    positive = plant(random_dna(n // 2, length, rng), rng)
    negative = random_dna(n - n // 2, length, rng)
    codes = torch.from_numpy(np.concatenate([positive, negative]))
    label = torch.cat([torch.ones(n // 2), torch.zeros(n - n // 2)])
    return TensorDataset(nn.functional.one_hot(codes, 4).float().transpose(1, 2), label)


class MotifNet(nn.Module):
    def __init__(self, kernels=24):
        super().__init__()
        self.scan = nn.Conv1d(4, kernels, 9, padding=4)
        self.pool = nn.AdaptiveMaxPool1d(1)
        self.fc1 = nn.Linear(kernels, 16)
        self.fc2 = nn.Linear(16, 1)

    def forward(self, dna):
        h = self.pool(torch.relu(self.scan(dna))).flatten(1)
        return self.fc2(torch.relu(self.fc1(h)))


def accuracy(output, label):
    predicted = (output > 0).float()
    return (predicted == label).float().mean().item()  #! return (predicted.squeeze(1) == label).float().mean().item()


def main(epochs=8):
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    train = DataLoader(dataset(1600, rng), batch_size=50, shuffle=True)
    valid = DataLoader(dataset(400, rng), batch_size=100)
    net = MotifNet()
    bce = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(epochs):
        net.train()
        history = []
        for dna, label in train:
            output = net(dna)
            loss = bce(output, label.unsqueeze(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            history.append((loss.item(), accuracy(output, label)))
        net.eval()
        with torch.no_grad():
            outputs = [(net(dna), label) for dna, label in valid]
        output, label = (torch.cat(part) for part in zip(*outputs))
        loss, acc = np.mean(history, axis=0)
        print(f"epoch {epoch}: loss {loss:.3f} accuracy {acc:.3f} | valid loss {bce(output, label[:, None]):.3f} "
              f"accuracy {accuracy(output, label):.3f}")  #@


main()
