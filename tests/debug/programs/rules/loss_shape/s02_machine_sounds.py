"""Recognise the state of a machine from vibration frames: recurrent encoder, last state and mean of all states."""
# case: S02
# codes: shape.samples-mixed
# split: rules

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
FRAMES, BANDS, STATES = 20, 8, 5


class Vibration(Dataset):
    """Each state raises the energy of its own two bands, in bursts."""

    def __init__(self, count, seed):
        g = torch.Generator().manual_seed(seed)
        self.state = torch.randint(STATES, (count,), generator=g)
        self.frames = 0.75 * torch.randn(count, FRAMES, BANDS, generator=g)
        burst = (torch.rand(count, FRAMES, generator=g) < 0.3).float()
        for i, state in enumerate(self.state.tolist()):
            self.frames[i, :, state] += 1.2 * burst[i]
            self.frames[i, :, (state + 3) % BANDS] += 0.8 * burst[i]

    def __len__(self):
        return len(self.state)

    def __getitem__(self, i):
        return self.frames[i], self.state[i]


def collate(items):
    frames, states = zip(*items, strict=True)
    return torch.stack(frames, dim=1), torch.stack(states)  # frames first: (time, batch, band)


class Encoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.hidden = hidden
        self.rnn = nn.GRU(BANDS, hidden)

    def forward(self, frames):
        steps, batch, _ = frames.shape
        out, last = self.rnn(frames)
        out = out.view(batch, steps, self.hidden)  #! out = out.transpose(0, 1)
        return out, last[-1]


class StateClassifier(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.encoder = Encoder(hidden)
        self.classify = nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * hidden, STATES))

    def forward(self, frames):
        states, last = self.encoder(frames)
        return self.classify(torch.cat([states.mean(dim=1), last], dim=1))


def evaluate(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(frames).argmax(1), state) for frames, state in loader]
    return sum((a == b).sum().item() for a, b in pairs) / sum(len(b) for _, b in pairs)


if __name__ == "__main__":
    torch.manual_seed(SEED)
    train_loader = DataLoader(Vibration(960, SEED), batch_size=32, shuffle=True, collate_fn=collate)
    test_loader = DataLoader(Vibration(320, SEED + 1), batch_size=32, collate_fn=collate)
    model = StateClassifier()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for epoch in range(7):
        model.train()
        for frames, state in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(frames), state)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, test accuracy {evaluate(model, test_loader):.3f}")
