"""A plain recurrent cell, written by hand, predicts the next symbol of long delayed-copy streams."""
# case: N05
# codes: numeric.exploding-gradient, model.init-too-large
# split: rules

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
SYMBOLS, LENGTH, DELAY = 6, 60, 3


class Cell(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.input_map = nn.Linear(inputs, hidden)
        self.recurrent = nn.Parameter(torch.empty(hidden, hidden))
        nn.init.orthogonal_(self.recurrent, gain=3.0)  #! nn.init.orthogonal_(self.recurrent, gain=1.0)

    def forward(self, x, h):
        return torch.tanh(self.input_map(x) + h @ self.recurrent)  #@


class Predictor(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.cell = Cell(SYMBOLS, hidden)
        self.out = nn.Linear(hidden, SYMBOLS)

    def forward(self, symbols):
        h = symbols.new_zeros(symbols.size(0), self.out.in_features, dtype=torch.float32)
        outputs = []
        for x in F.one_hot(symbols, SYMBOLS).float().unbind(1):
            h = self.cell(x, h)
            outputs.append(self.out(h))
        return torch.stack(outputs, dim=1)


def stream(batch):
    """Every symbol is the one `DELAY` steps before, shifted by one, except for a few random jumps."""
    tokens = torch.randint(SYMBOLS, (batch, LENGTH + 1))
    for t in range(DELAY, LENGTH + 1):
        jump = torch.rand(batch) < 0.05
        tokens[:, t] = torch.where(jump, tokens[:, t], (tokens[:, t - DELAY] + 1) % SYMBOLS)
    return tokens[:, :-1], tokens[:, 1:]


def main():
    torch.manual_seed(SEED)
    model = Predictor()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    val_inputs, val_targets = stream(100)
    for step in range(1, 151):
        inputs, targets = stream(32)
        loss = F.cross_entropy(model(inputs).transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 0:
            with torch.no_grad():
                val = F.cross_entropy(model(val_inputs).transpose(1, 2), val_targets)
            print(f"step {step:3d}: loss {loss.item():.4f} val {val.item():.4f}")


if __name__ == "__main__":
    main()
