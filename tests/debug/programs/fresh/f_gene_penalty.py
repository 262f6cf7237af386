"""Subtypes from gene expression: many genes, few patients, a penalised network."""
# case: O17
# codes: step.regularisation-dominates
# split: fresh
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

SEED = 0
LAMBDA = 0.5  #! LAMBDA = 1e-5


def expression(rng, n, genes=120, subtypes=4):
    programme = np.random.default_rng(99).normal(0, 1, (subtypes, genes)) * (np.random.default_rng(98).random((subtypes, genes)) < 0.15)
    s = rng.integers(0, subtypes, n)
    return 1.4 * programme[s] + rng.normal(0, 1.2, (n, genes)), s


class SubtypeModel:
    def __init__(self, genes, hidden, subtypes, gen):
        def w(a, b):
            return (torch.randn(a, b, generator=gen) / a**0.5).requires_grad_()

        self.W1, self.b1 = w(genes, hidden), torch.zeros(hidden, requires_grad=True)
        self.W2, self.b2 = w(hidden, subtypes), torch.zeros(subtypes, requires_grad=True)

    def parameters(self):
        return [self.W1, self.b1, self.W2, self.b2]

    def __call__(self, x):
        return torch.relu(x @ self.W1 + self.b1) @ self.W2 + self.b2

    def penalty(self):
        return sum((p**2).sum() for p in self.parameters())


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
a, s = expression(rng, 400)
b, r = expression(rng, 300)
scaler = StandardScaler().fit(a)
a, b = torch.tensor(scaler.transform(a)).float(), torch.tensor(scaler.transform(b)).float()
s, r = torch.tensor(s), torch.tensor(r)
model = SubtypeModel(120, 32, 4, torch.Generator().manual_seed(SEED))
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(1, 31):
    for i in torch.randperm(400).split(25):
        data_loss = torch.nn.functional.cross_entropy(model(a[i]), s[i])
        loss = data_loss + LAMBDA * model.penalty()  #@
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 6 == 0:
        with torch.no_grad():
            print(f"epoch {epoch}: loss {loss.item():.4f} accuracy {(model(b).argmax(1) == r).float().mean().item():.3f}")
