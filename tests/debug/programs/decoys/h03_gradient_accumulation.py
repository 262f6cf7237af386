"""Linear-teacher regression with an effective batch of 128 made of four micro-batches of 32."""
# case: H03
# codes: none
# split: rules

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0

parser = argparse.ArgumentParser()
parser.add_argument("--micro-batch", type=int, default=32)
parser.add_argument("--accumulate", type=int, default=4)
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--lr", type=float, default=0.1)
args = parser.parse_args([])

torch.manual_seed(SEED)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

x = torch.randn(2560, 16)
y = x @ torch.randn(16, 1) / 4 + 0.5 * torch.sin(x[:, :1]) + 0.05 * torch.randn(2560, 1)
train_set, val_set = random_split(TensorDataset(x, y), [2048, 512])
train_loader = DataLoader(train_set, batch_size=args.micro_batch, shuffle=True, drop_last=True)
val_loader = DataLoader(val_set, batch_size=256)

model = nn.Sequential(nn.Linear(16, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1)).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
loss_fn = nn.MSELoss()


def validate():
    model.eval()
    with torch.no_grad():
        errors = [(model(xb.to(device)) - yb.to(device)).square().sum().item() for xb, yb in val_loader]
    return sum(errors) / len(val_set)


for epoch in range(args.epochs):
    model.train()
    optimizer.zero_grad()
    running = 0.0
    for i, (xb, yb) in enumerate(train_loader, 1):
        loss = loss_fn(model(xb.to(device)), yb.to(device)) / args.accumulate
        loss.backward()
        running += loss.item() * args.accumulate
        if i % args.accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    print(f"epoch {epoch:2d}  train mse {running / len(train_loader):.4f}  val mse {validate():.4f}")
print("variance of the validation target", y[val_set.indices].var().item())
