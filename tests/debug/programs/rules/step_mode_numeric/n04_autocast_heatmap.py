"""Detect square markers: a fully convolutional net predicts a heat map, trained in bfloat16."""
# case: N04
# codes: numeric.half-precision-range, numeric.non-finite-loss
# split: rules

import torch
from torch import nn

SEED = 0
EPS = 1e-6  #@
SIZE = 16


def scenes(n):
    image = 0.3 * torch.randn(n, 1, SIZE, SIZE)
    heat = torch.zeros(n, 1, SIZE, SIZE)
    for i in range(n):
        for _ in range(3):
            r, c = torch.randint(0, SIZE - 3, (2,)).tolist()
            image[i, 0, r : r + 3, c : c + 3] += 1.5
            heat[i, 0, r : r + 3, c : c + 3] = 1.0
    return image, heat


class HeatmapNet(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.stages = nn.ModuleList([
            nn.Conv2d(1, width, 3, padding=1),
            nn.Conv2d(width, width, 3, padding=1),
            nn.Conv2d(width, width, 3, padding=1),
        ])
        self.top = nn.Conv2d(width, 1, 1)

    def forward(self, image):
        x = image
        for i, stage in enumerate(self.stages):
            y = torch.relu(stage(x))
            x = y if i == 0 else x + y
        return self.top(x)


def heat_loss(logits, heat):
    p = EPS + (1 - 2 * EPS) * torch.sigmoid(logits)  #! p = EPS + (1 - 2 * EPS) * torch.sigmoid(logits.float())
    return -(heat * p.log() + (1 - heat) * (1 - p).log()).mean()  #@


def main():
    torch.manual_seed(SEED)
    image, heat = scenes(480)
    val_image, val_heat = scenes(120)
    net = HeatmapNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(8):
        for rows in torch.randperm(len(image)).split(24):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = heat_loss(net(image[rows]), heat[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = net(val_image)
            iou = ((logits > 0) & (val_heat > 0)).sum() / ((logits > 0) | (val_heat > 0)).sum()
            print(f"epoch {epoch}: loss {loss.item():.4f}, val loss {heat_loss(logits, val_heat).item():.4f}, val IoU {iou:.3f}")


main()
