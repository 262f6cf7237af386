"""Rare ground tiles: map of tile numbers (0 to 11) to the kind of landscape.

Planted: `padding_idx=0` in the embedding although tile 0 is an ordinary tile and nothing is padded, so the row of tile 0
is zero and never learns.
"""
# case: unlisted
# codes: none-listed
# split: fresh
import torch
from torch import nn

SEED = 0
TILES = 12


class Landscape(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.tile = nn.Embedding(TILES, dim, padding_idx=0)  #! self.tile = nn.Embedding(TILES, dim)
        self.see = nn.Sequential(nn.Conv2d(dim, 24, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, 3))

    def forward(self, ground):
        return self.see(self.tile(ground).permute(0, 3, 1, 2))  #@


def maps(n):
    ground = torch.randint(0, TILES, (n, 9, 9))
    kind = torch.randint(0, 3, (n,))
    ground[(ground == 0) | (ground == 1)] = 2
    for i in range(n):
        r, c = torch.randint(0, 8, (2,)).tolist()
        pair = [(0, 0), (0, 1), (1, 0)][int(kind[i])]
        ground[i, r, c], ground[i, r, c + 1] = pair
    return ground, kind


torch.manual_seed(SEED)
ground, kind = maps(900)
ground_t, kind_t = maps(300)
net = Landscape()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(1, 16):
    total = 0.0
    for i in torch.randperm(900).split(30):
        loss = nn.functional.cross_entropy(net(ground[i]), kind[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / 30
    if epoch % 3 == 0:
        with torch.no_grad():
            print(f"epoch {epoch}: loss {total:.4f} test {(net(ground_t).argmax(1) == kind_t).float().mean():.3f}")
