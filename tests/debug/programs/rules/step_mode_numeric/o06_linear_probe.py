"""Denoising autoencoder on digits, then a linear probe on its fixed code."""
# case: O06
# codes: step.freeze-ineffective
# split: rules

import argparse

import torch
import torch.nn as nn
from sklearn.datasets import load_digits

SEED = 0


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pretrain-steps", type=int, default=250)
    parser.add_argument("--probe-steps", type=int, default=250)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--code", type=int, default=24)
    return parser.parse_args()


class Probe(nn.Module):
    def __init__(self, encoder, code):
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(code, 10)

    def forward(self, x):
        return self.classifier(self.encoder(x))


def sample(x, size):
    return torch.randint(0, len(x), (size,))


def pretrain(encoder, decoder, x, args):
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    for step in range(args.pretrain_steps):
        batch = x[sample(x, args.batch)]
        noisy = batch + 0.3 * torch.randn_like(batch)
        loss = nn.functional.mse_loss(decoder(encoder(noisy)), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"reconstruction step {step + 1}: {loss.item():.4f}")


def main():
    args = parse()
    torch.manual_seed(SEED)
    data, target = load_digits(return_X_y=True)
    order = torch.randperm(len(data))
    x = torch.tensor(data, dtype=torch.float32)[order] / 8 - 1
    y = torch.tensor(target)[order]
    x_train, y_train, x_val, y_val = x[:1300], y[:1300], x[1300:], y[1300:]

    encoder = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, args.code))
    decoder = nn.Sequential(nn.Linear(args.code, 96), nn.ReLU(), nn.Linear(96, 64))
    pretrain(encoder, decoder, x_train, args)

    encoder.requires_grad = False  #! encoder.requires_grad_(False)
    model = Probe(encoder, args.code)
    optimizer = torch.optim.RMSprop(filter(lambda p: p.requires_grad, model.parameters()), lr=5e-3)  #@
    for step in range(args.probe_steps):
        index = sample(x_train, args.batch)
        loss = nn.functional.cross_entropy(model(x_train[index]), y_train[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            with torch.no_grad():
                accuracy = (model(x_val).argmax(1) == y_val).float().mean().item()
            print(f"probe step {step + 1}: loss {loss.item():.4f}, val accuracy {accuracy:.4f}")
    with torch.no_grad():
        print(f"reconstruction after probing: {nn.functional.mse_loss(decoder(encoder(x_val)), x_val).item():.4f}")


if __name__ == "__main__":
    main()
