"""Find the failing part named in a log line: additive attention over the tokens of the line."""
# case: S05
# codes: shape.constant-attention, shape.softmax-axis
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
VOCAB, LENGTH, PARTS, MARK = 60, 24, 8, 59


def lines(count, generator):
    """Every line names several parts (tokens 0-7); the one right after the mark has failed."""
    tokens = torch.randint(PARTS, VOCAB - 1, (count, LENGTH), generator=generator)
    for row in tokens:
        places = torch.randperm(LENGTH - 1, generator=generator)[:10]
        row[places] = torch.randint(PARTS, (10,), generator=generator)
    spot = torch.randint(LENGTH - 1, (count,), generator=generator)
    failed = torch.randint(PARTS, (count,), generator=generator)
    rows = torch.arange(count)
    tokens[rows, spot] = MARK
    tokens[rows, spot + 1] = failed
    return tokens, failed


class AdditiveAttention(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.key = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, states):
        energy = self.score(torch.tanh(self.key(states)))
        weights = F.softmax(energy, dim=-1)  #! weights = F.softmax(energy, dim=1)
        return (weights * states).sum(dim=1)  #@


class LineReader(nn.Module):
    def __init__(self, dim=12):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim)
        self.context = nn.Conv1d(dim, dim, kernel_size=2)
        self.attend = AdditiveAttention(dim, 32)
        self.answer = nn.Linear(dim, PARTS)

    def forward(self, tokens):
        x = self.embed(tokens).transpose(1, 2)
        x = torch.relu(self.context(F.pad(x, (1, 0)))).transpose(1, 2)
        return self.answer(self.attend(x))


def train(model, tokens, failed, val_tokens, val_failed, steps=240, batch=64):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 - 0.9 * i / steps)
    for step in range(steps):
        rows = torch.randint(len(tokens), (batch,))
        loss = F.cross_entropy(model(tokens[rows]), failed[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        if step % 40 == 39:
            with torch.no_grad():
                out = model(val_tokens)
            acc = (out.argmax(1) == val_failed).float().mean()
            print(f"step {step + 1} loss {loss.item():.3f} val {F.cross_entropy(out, val_failed):.3f} acc {acc:.3f}")


if __name__ == "__main__":
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED + 7)
    train(LineReader(), *lines(4000, generator), *lines(500, generator))
