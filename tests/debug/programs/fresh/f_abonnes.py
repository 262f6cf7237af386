"""Résiliation d'abonnement : réseau avec embeddings de ville et de forfait (données simulées)."""
# case: L08
# codes: loss.single-unit-softmax
# split: fresh
import torch
from torch import nn

SEED = 0
gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)


def clients(n):
    ville = torch.randint(0, 15, (n,), generator=gen)
    forfait = torch.randint(0, 6, (n,), generator=gen)
    mesures = torch.randn(n, 5, generator=gen)
    effet = torch.sin(ville.float()) + 0.8 * torch.cos(2.0 * forfait) + mesures[:, 0] - mesures[:, 1] * mesures[:, 2]
    part = (effet + 0.3 * torch.randn(n, generator=gen) > 0.4).float()
    return ville, forfait, mesures, part


class Prevision(nn.Module):
    def __init__(self):
        super().__init__()
        self.ville = nn.Embedding(15, 6)
        self.forfait = nn.Embedding(6, 3)
        self.corps = nn.Sequential(nn.Linear(14, 64), nn.LeakyReLU(), nn.Linear(64, 32), nn.LeakyReLU())
        self.sortie = nn.Linear(32, 1)

    def forward(self, ville, forfait, mesures):
        h = self.corps(torch.cat([self.ville(ville), self.forfait(forfait), mesures], dim=1))
        return torch.softmax(self.sortie(h), dim=1)[:, 0]  #! return torch.sigmoid(self.sortie(h))[:, 0]


entrainement, essai = clients(2000), clients(500)
reseau = Prevision()
cout = nn.BCELoss()
optimiseur = torch.optim.Adam(reseau.parameters(), lr=4e-3)
for epoque in range(15):
    total = 0.0
    for lot in torch.randperm(2000, generator=gen).split(100):
        *entrees, part = (t[lot] for t in entrainement)
        perte = cout(reseau(*entrees), part)
        optimiseur.zero_grad()
        perte.backward()
        optimiseur.step()
        total += perte.item() / 20
    with torch.no_grad():
        juste = ((reseau(*essai[:3]) > 0.5) == essai[3].bool()).float().mean()
    print(f"époque {epoque:2d} : coût {total:.3f}, exactitude {juste:.3f}")
