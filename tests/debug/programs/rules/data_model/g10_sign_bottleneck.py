"""Ten traffic-like signs in colour; the size of the embedding can be set on the command line."""
# case: G10
# codes: model.too-small
# split: rules

import argparse

import torch
from torch import nn

SEED = 0

parser = argparse.ArgumentParser()
parser.add_argument("--embedding", type=int, default=1)  #! parser.add_argument("--embedding", type=int, default=48)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--steps", type=int, default=240)
args = parser.parse_args()


def make_signs(count, generator):
    looks = torch.rand(10, 3, 6, 6, generator=torch.Generator().manual_seed(8))
    kinds = torch.randint(10, (count,), generator=generator)
    pictures = 0.4 + 0.12 * torch.randn(count, 3, 16, 16, generator=generator)
    corners = torch.randint(3, 8, (count, 2), generator=generator).tolist()
    for picture, kind, (row, column) in zip(pictures, kinds, corners, strict=True):
        picture[:, row : row + 6, column : column + 6] = looks[kind]
    pictures = pictures + 0.1 * torch.randn(pictures.shape, generator=generator)
    return (pictures - 0.42) / 0.19, kinds


class SignNet(nn.Module):
    def __init__(self, embedding):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        )  # fmt: skip
        self.embed = nn.Linear(32 * 16, embedding)  #@
        self.classify = nn.Linear(embedding, 10)

    def forward(self, pictures):
        return self.classify(self.embed(self.convs(pictures).flatten(1)).tanh())


torch.manual_seed(SEED)
generator = torch.Generator().manual_seed(SEED)
x_train, y_train = make_signs(800, generator)
x_val, y_val = make_signs(200, generator)
model = SignNet(args.embedding)
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
for step in range(1, args.steps + 1):
    model.train()
    rows = torch.randint(800, (40,))
    loss = nn.functional.cross_entropy(model(x_train[rows]), y_train[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 40 == 0:
        model.eval()
        with torch.no_grad():
            logits = model(x_val)
        accuracy = (logits.argmax(1) == y_val).float().mean()
        print(f"step {step:4d}  train loss {loss.item():.3f}  val accuracy {accuracy.item():.3f}")
