"""The adding problem with a plain tanh RNN: sum the two marked numbers of a sequence."""
# case: O16
# codes: step.clipping-ineffective
# split: held-out

import torch
import torch.nn as nn

SEED = 0
torch.manual_seed(SEED)
LENGTH, BATCH, LIMIT = 20, 64, 0.5


def problem(n):
    numbers = torch.rand(n, LENGTH)
    marks = torch.zeros(n, LENGTH)
    half = LENGTH // 2
    rows = torch.arange(n)
    marks[rows, torch.randint(half, (n,))] = 1
    marks[rows, half + torch.randint(half, (n,))] = 1
    return torch.stack([numbers - 0.5, marks - 0.5], 2), (numbers * marks).sum(1) - 1.0


class Adder(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.cell = nn.RNN(2, hidden, nonlinearity="relu", batch_first=True)
        nn.init.eye_(self.cell.weight_hh_l0)
        nn.init.normal_(self.cell.weight_ih_l0, std=0.2)
        nn.init.zeros_(self.cell.bias_ih_l0)
        nn.init.zeros_(self.cell.bias_hh_l0)
        self.total = nn.Linear(hidden, 1)
        nn.init.normal_(self.total.weight, std=0.05)

    def forward(self, x):
        return self.total(self.cell(x)[1][0])[:, 0]


class Loop:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        self.objective = nn.MSELoss()

    def step(self):
        x, y = problem(BATCH)
        self.optimizer.zero_grad()
        loss = self.objective(self.model(x), y)
        nn.utils.clip_grad_norm_(self.model.parameters(), LIMIT)  #!
        loss.backward()
        #+ nn.utils.clip_grad_norm_(self.model.parameters(), LIMIT)
        self.optimizer.step()  #@
        return loss.item()

    @torch.no_grad()
    def validate(self, x, y):
        return self.objective(self.model(x), y).item()


loop = Loop(Adder())
x_val, y_val = problem(500)
print(f"variance of the target {y_val.var().item():.4f}")
for k in range(1, 401):
    value = loop.step()
    if k % 50 == 0:
        print(f"iteration {k}: {value:.5f} (validation {loop.validate(x_val, y_val):.5f})")
