"""Cell nuclei in microscope tiles: fully convolutional network, masks as they come out of the annotation tool."""
# case: L13
# codes: loss.target-domain
# split: fresh
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class NucleiTiles(Dataset):
    """Tiles are uint8 images with uint8 masks, like the PNG pairs that the tool exports."""

    def __init__(self, n, size=20, seed=SEED):
        r = np.random.RandomState(seed)
        self.images = r.randint(0, 90, (n, size, size)).astype(np.uint8)
        self.masks = np.zeros((n, size, size), np.uint8)
        gy, gx = np.mgrid[:size, :size]
        for k in range(n):
            for _ in range(r.randint(1, 4)):
                cy, cx, a, b = r.uniform(2, size - 2), r.uniform(2, size - 2), r.uniform(2, 4), r.uniform(2, 4)
                inside = ((gy - cy) / a) ** 2 + ((gx - cx) / b) ** 2 < 1
                self.masks[k][inside] = 255
                self.images[k][inside] = r.randint(70, 160, inside.sum())

    def __len__(self):
        return len(self.images)

    def __getitem__(self, k):
        image = torch.from_numpy(self.images[k]).float().unsqueeze(0) / 80 - 1
        mask = torch.from_numpy(self.masks[k]).float().unsqueeze(0)  #! mask = torch.from_numpy(self.masks[k] // 255).float().unsqueeze(0)
        return image, mask


def iou(logits, mask):
    a, b = logits > 0, mask > 0
    return ((a & b).sum() / (a | b).sum()).item()


torch.manual_seed(SEED)
loaders = {"train": DataLoader(NucleiTiles(240), batch_size=16, shuffle=True), "val": DataLoader(NucleiTiles(64, seed=SEED + 1), batch_size=64)}
fcn = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
    nn.Conv2d(12, 12, 3, padding=2, dilation=2), nn.BatchNorm2d(12), nn.ReLU(),
    nn.Conv2d(12, 1, 1),
)
bce = nn.BCEWithLogitsLoss()
adam = torch.optim.Adam(fcn.parameters(), 3e-3)
for ep in range(8):
    fcn.train()
    tot = 0.0
    for image, mask in loaders["train"]:
        adam.zero_grad()
        loss = bce(fcn(image), mask)  #@
        loss.backward()
        adam.step()
        tot += loss.item() / len(loaders["train"])
    fcn.eval()
    with torch.no_grad():
        image, mask = next(iter(loaders["val"]))
        print(f"epoch {ep}: train loss {tot:.4f} val IoU {iou(fcn(image), mask):.3f}")
