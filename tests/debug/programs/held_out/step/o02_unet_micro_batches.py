"""Small U-Net that segments noisy discs; images come in micro-batches that make up one larger batch."""
# case: O02
# codes: step.gradients-cleared-too-soon
# split: held-out

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
MICRO, WINDOW, EPOCHS = 4, 8, 8
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_scenes(n, size=24):
    ys, xs = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centre = torch.randint(6, size - 6, (n, 2, 1, 1))
    radius = torch.randint(3, 6, (n, 1, 1))
    mask = ((ys - centre[:, 0]) ** 2 + (xs - centre[:, 1]) ** 2 <= radius**2).float()
    image = 0.9 * mask + 0.7 * torch.randn(n, size, size)
    return image.unsqueeze(1), mask.unsqueeze(1)


def block(cin, cout):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.GroupNorm(4, cout), nn.SiLU())


class UNet(nn.Module):
    def __init__(self, base=8):
        super().__init__()
        self.enc1, self.enc2 = block(1, base), block(base, 2 * base)
        self.mid = block(2 * base, 2 * base)
        self.up = nn.ConvTranspose2d(2 * base, 2 * base, 2, stride=2)
        self.dec2, self.dec1 = block(4 * base, base), block(2 * base, base)
        self.head = nn.Conv2d(base, 1, 1)

    def forward(self, x):
        a = self.enc1(x)
        b = self.enc2(F.max_pool2d(a, 2))
        c = self.mid(F.max_pool2d(b, 2))
        d = self.dec2(torch.cat([self.up(c), b], 1))
        d = F.interpolate(d, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(self.dec1(torch.cat([d, a], 1)))


@torch.no_grad()
def dice(net, loader):
    net.eval()
    both = total = 0.0
    for image, mask in loader:
        guess = (net(image.to(device)) > 0).float()
        both += (guess * mask.to(device)).sum().item()
        total += guess.sum().item() + mask.sum().item()
    return 2 * both / max(total, 1.0)


torch.manual_seed(SEED)
train = DataLoader(TensorDataset(*make_scenes(320)), batch_size=MICRO, shuffle=True)
valid = DataLoader(TensorDataset(*make_scenes(64)), batch_size=32)
net = UNet().to(device)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

for epoch in range(EPOCHS):
    net.train()
    running = 0.0
    for i, (image, mask) in enumerate(train):
        #+ if i % WINDOW == 0: optimizer.zero_grad()
        optimizer.zero_grad()  #!
        loss = F.binary_cross_entropy_with_logits(net(image.to(device)), mask.to(device))
        (loss / WINDOW).backward()
        running += loss.item()
        if (i + 1) % WINDOW == 0:
            optimizer.step()
    print(f"epoch {epoch}: loss {running / len(train):.4f}  val dice {dice(net, valid):.3f}")
