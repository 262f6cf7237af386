"""Stadium einer Lebererkrankung aus Laborwerten (simuliert)."""
# case: L01
# codes: loss.probabilities-into-cross-entropy
# split: fresh
import numpy as np
import torch
import torch.nn as nn

SEED = 0
torch.manual_seed(SEED)
zufall = np.random.default_rng(SEED)


def patienten(anzahl):
    stadium = zufall.integers(0, 5, anzahl)
    werte = zufall.normal(size=(anzahl, 9))
    werte[:, 0] += 1.9 * stadium - 3.8
    werte[:, 1] += np.where(stadium >= 3, 1.8, -0.6)
    werte[:, 2] *= 1 + 0.8 * stadium
    werte[:, 3] -= 0.9 * (stadium == 2)
    werte[:, 4] += 2.6 * (stadium % 2)
    return torch.tensor(werte / 2, dtype=torch.float), torch.tensor(stadium)


class Restblock(nn.Module):
    def __init__(self, breite):
        super().__init__()
        self.innen = nn.Sequential(nn.LayerNorm(breite), nn.Linear(breite, breite), nn.GELU(), nn.Linear(breite, breite))

    def forward(self, x):
        return x + self.innen(x)


class Diagnose(nn.Module):
    def __init__(self, merkmale, stadien, breite=48):
        super().__init__()
        self.eingang = nn.Linear(merkmale, breite)
        self.bloecke = nn.Sequential(Restblock(breite), Restblock(breite))
        self.ausgang = nn.Linear(breite, stadien)

    def forward(self, x):
        h = self.bloecke(self.eingang(x))
        return self.ausgang(h).softmax(dim=-1)  #! return self.ausgang(h)


x_lern, y_lern = patienten(1500)
x_test, y_test = patienten(500)
modell = Diagnose(9, 5)
verlust = nn.CrossEntropyLoss()  #@
optimierer = torch.optim.AdamW(modell.parameters(), lr=1.5e-3, weight_decay=1e-4)
for durchgang in range(1, 13):
    summe = 0.0
    for teil in torch.randperm(len(x_lern)).split(50):
        optimierer.zero_grad()
        v = verlust(modell(x_lern[teil]), y_lern[teil])  #@
        v.backward()
        optimierer.step()
        summe += v.item() * len(teil)
    with torch.no_grad():
        aus = modell(x_test)
    print(f"Durchgang {durchgang:2d}: Verlust {summe / len(x_lern):.3f}, Test {verlust(aus, y_test):.3f}, richtig {(aus.argmax(1) == y_test).float().mean():.1%}")
