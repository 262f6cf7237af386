"""Speaker adaptation: a recogniser trained on one group, its encoder kept fixed, a fresh layer for a new group."""
# case: O06
# codes: step.freeze-ineffective
# split: fresh
import copy

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def speech(n, shift, sounds=6):
    s = torch.randint(0, sounds, (n,))
    centre = torch.linspace(-2, 2, sounds)[:, None] * torch.linspace(0.5, 1.5, 16)
    return torch.sin(centre[s] * 2 + shift) + 0.35 * torch.randn(n, 16), s


class Recogniser(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU())
        self.classifier = nn.Linear(24, 6)

    def forward(self, x):
        return self.classifier(self.encoder(x))


def accuracy(model, data):
    with torch.no_grad():
        return (model(data[0]).argmax(1) == data[1]).float().mean().item()


def fit(model, data, steps, lr):
    opt = torch.optim.Adam(model.parameters(), lr=lr)  #@
    for _ in range(steps):
        i = torch.randint(0, len(data[0]), (48,))
        loss = nn.functional.cross_entropy(model(data[0][i]), data[1][i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item()


first, first_test = speech(1200, 0.0), speech(300, 0.0)
second, second_test = speech(400, 0.9), speech(300, 0.9)
model = Recogniser()
print("first group: loss %.3f, accuracy %.3f" % (fit(model, first, 400, 3e-3), accuracy(model, first_test)))

keep = copy.deepcopy(model.classifier)
model.encoder.requires_grad = False  #! model.encoder.requires_grad_(False)
model.classifier = nn.Linear(24, 6)
print("second group: loss %.3f, accuracy %.3f" % (fit(model, second, 400, 3e-3), accuracy(model, second_test)))
model.classifier = keep
print("first group with its own classifier again: accuracy %.3f" % accuracy(model, first_test))
