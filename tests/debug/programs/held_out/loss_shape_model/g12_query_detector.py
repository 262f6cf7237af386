"""Set-style detector: learned queries attend to image features and say where the square and the cross are."""
# case: G12
# codes: model.ignores-input
# split: held-out
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
GRID = 12


def scenes(n):
    """Images (n, 1, 12, 12) with one 3x3 square and one 3x3 cross; centres (n, 2, 2) in [0, 1]."""
    images = 0.2 * torch.randn(n, 1, GRID, GRID)
    square = torch.ones(3, 3)
    cross = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    corner = torch.randint(0, GRID - 2, (n, 2, 2))
    for image, places in zip(images, corner.tolist()):
        for shape, (r, c) in zip((square, cross), places):
            image[0, r : r + 3, c : c + 3] += 1.5 * shape
    return images, (corner + 1).float() / (GRID - 1)


class Backbone(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1), nn.GELU(), nn.Conv2d(24, dim, 3, padding=1), nn.GELU(),
            nn.Conv2d(dim, dim, 3, stride=2, padding=1),
        )

    def forward(self, images):
        ramp = torch.linspace(-1, 1, GRID)
        rows = ramp.view(1, 1, GRID, 1).expand(len(images), 1, GRID, GRID)
        cols = ramp.view(1, 1, 1, GRID).expand(len(images), 1, GRID, GRID)
        return self.conv(torch.cat([images, rows, cols], dim=1)).flatten(2).transpose(1, 2)


class QueryDetector(nn.Module):
    def __init__(self, dim=32, queries=2):
        super().__init__()
        self.backbone = Backbone(dim)
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.cross = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.box = nn.Sequential(nn.Linear(dim, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, images):
        memory = self.backbone(images)
        q = self.queries.expand(len(images), -1, -1)
        found, _ = self.cross(q, q, q)  #! found, _ = self.cross(q, memory, memory)
        return self.box(self.norm(q + found)).sigmoid()


def main():
    torch.manual_seed(SEED)
    (images, centres), (val_images, val_centres) = scenes(1500), scenes(200)
    detector = QueryDetector()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    for epoch in range(10):
        detector.train()
        for rows in torch.randperm(len(images)).split(60):
            loss = F.l1_loss(detector(images[rows]), centres[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        detector.eval()
        with torch.no_grad():
            miss = (detector(val_images) - val_centres).abs().mean()
        print(f"epoch {epoch + 1} loss {loss.item():.4f} mean miss in pixels {miss.item() * (GRID - 1):.2f}")


main()
