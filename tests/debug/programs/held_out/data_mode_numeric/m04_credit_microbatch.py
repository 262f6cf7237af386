"""Score loan applications with a batch-normalised network; gradients are gathered over micro-batches to save memory."""
# case: M04
# codes: mode.batchnorm-tiny-batch
# split: held-out

import argparse

import torch
from torch import nn

SEED = 0
parser = argparse.ArgumentParser()
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--micro-batch", type=int, default=2)  #! parser.add_argument("--micro-batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--lr", type=float, default=5e-3)


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width), nn.BatchNorm1d(width)  #@
        )

    def forward(self, x):
        return torch.relu(x + self.body(x))


def applications(count, teacher):
    x = torch.randn(count, 24) @ (torch.eye(24) + 0.2 * torch.randn(24, 24, generator=teacher))
    hidden = torch.tanh(x @ torch.randn(24, 3, generator=teacher) / 6)
    return x, (hidden.sum(1) + 0.1 * torch.randn(count) > 0).float()


def train_epoch(model, optimizer, x, y, args):
    model.train()
    pieces = args.batch // args.micro_batch
    total = 0.0
    for rows in torch.randperm(len(x)).view(-1, args.batch):
        optimizer.zero_grad()
        for part in rows.chunk(pieces):
            loss = nn.functional.binary_cross_entropy_with_logits(model(x[part]).squeeze(1), y[part]) / pieces
            loss.backward()
            total += loss.item()
        optimizer.step()
    return total * args.batch / len(x)


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    score = model(x).squeeze(1)
    loss = nn.functional.binary_cross_entropy_with_logits(score, y)
    return loss.item(), ((score > 0) == y.bool()).float().mean().item()


def main(args):
    torch.manual_seed(SEED)
    x, y = applications(1920 + 500, torch.Generator().manual_seed(SEED))
    model = nn.Sequential(nn.Linear(24, 48), nn.BatchNorm1d(48), nn.ReLU(), Residual(48), Residual(48), nn.Linear(48, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        train_loss = train_epoch(model, optimizer, x[:1920], y[:1920], args)
        print("epoch %d train %.4f valid %.4f accuracy %.3f" % (epoch, train_loss, *evaluate(model, x[1920:], y[1920:])))


if __name__ == "__main__":
    main(parser.parse_args([]))
