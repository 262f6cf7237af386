"""Small U-Net that separates bright discs from a noisy background (synthetic microscopy)."""
# case: L02
# codes: loss.sigmoid-before-bce-with-logits
# split: held-out
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0


def double_conv(c_in, c_out):
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True),
        nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, base=8):
        super().__init__()
        self.inc = double_conv(1, base)
        self.down = nn.Sequential(nn.MaxPool2d(2), double_conv(base, base * 2))
        self.bottom = nn.Sequential(nn.MaxPool2d(2), double_conv(base * 2, base * 4))
        self.up1 = nn.ConvTranspose2d(base * 4, base * 2, 2, stride=2)
        self.dec1 = double_conv(base * 4, base * 2)
        self.up2 = nn.ConvTranspose2d(base * 2, base, 2, stride=2)
        self.dec2 = double_conv(base * 2, base)
        self.outc = nn.Conv2d(base, 1, 1)

    def forward(self, img):
        a = self.inc(img)
        b = self.down(a)
        c = self.bottom(b)
        d = self.dec1(torch.cat([self.up1(c), b], dim=1))
        e = self.dec2(torch.cat([self.up2(d), a], dim=1))
        return torch.sigmoid(self.outc(e))  #! return self.outc(e)


def make_cells(n, size=32):
    axis = torch.arange(size).float()
    centre = torch.rand(n, 3, 2, 1, 1) * size
    radius = 2 + 4 * torch.rand(n, 3, 1, 1)
    dist2 = (axis[:, None] - centre[:, :, 0]) ** 2 + (axis[None, :] - centre[:, :, 1]) ** 2
    mask = (dist2 < radius**2).any(dim=1, keepdim=True).float()
    image = 0.8 * mask + 0.6 * torch.randn(n, 1, size, size)
    return (image - image.mean()) / image.std(), mask


torch.manual_seed(SEED)
cells = TensorDataset(*make_cells(352))
train_set, val_set = random_split(cells, [288, 64])
train_loader = DataLoader(train_set, batch_size=24, shuffle=True)
val_loader = DataLoader(val_set, batch_size=64)
model = UNet()
criterion = nn.BCEWithLogitsLoss()  #@
optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)

for epoch in range(6):
    model.train()
    running = 0.0
    for image, mask in train_loader:
        loss = criterion(model(image), mask)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        running += loss.item() / len(train_loader)
    model.eval()
    with torch.no_grad():
        for image, mask in val_loader:
            print(f"epoch {epoch}: train {running:.4f}  val {criterion(model(image), mask):.4f}")
