"""Deep autoencoder of digit images, trained end to end."""
# case: G05
# codes: model.vanishing-gradient
# split: held-out
import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
settings = {
    "widths": [64, 128, 96, 64, 48, 32, 12],
    "activation": "Sigmoid",  #! "activation": "ELU",
    "optimizer": {"name": "Adam", "lr": 1e-3},
    "epochs": 12,
    "batch": 64,
}


def stack(widths, activation):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), getattr(nn, activation)()]  #@
    return layers[:-1]


def make_model(cfg):
    down, up = cfg["widths"], cfg["widths"][::-1]
    encoder = nn.Sequential(*stack(down, cfg["activation"]))
    decoder = nn.Sequential(*stack(up, cfg["activation"]))
    model = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def reconstruct(model, pixels):
    return model["decoder"](model["encoder"](pixels))


def main(cfg):
    torch.manual_seed(SEED)
    pixels = torch.tensor(load_digits().data, dtype=torch.float32) / 16
    pixels = pixels[torch.randperm(len(pixels))]
    train, test = pixels[:1500], pixels[1500:]
    centre = train.mean(0)
    train, test = (train - centre) * 3, (test - centre) * 3
    model = make_model(cfg)
    optimizer = getattr(torch.optim, cfg["optimizer"]["name"])(model.parameters(), lr=cfg["optimizer"]["lr"])
    mse = nn.MSELoss()
    for epoch in range(cfg["epochs"]):
        model.train()
        losses = []
        for batch in train[torch.randperm(len(train))].split(cfg["batch"]):
            optimizer.zero_grad()
            loss = mse(reconstruct(model, batch), batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        model.eval()
        with torch.no_grad():
            test_loss = mse(reconstruct(model, test), test)
        print(f"epoch {epoch:2d}  train {torch.stack(losses).mean():.4f}  test {test_loss:.4f}  (pixels vary by {test.var():.4f})")


if __name__ == "__main__":
    main(settings)
