"""Binary churn-like prediction with a gated table network, Adam with weight decay and an accuracy report."""
# case: double
# codes: step.regularisation-dominates
# also: metric.wrong
# split: held-out

import torch
from torch import Tensor, nn, optim

SEED = 0
CONFIG = {
    "rows": 2400,
    "features": 16,
    "width": 32,
    "layers": 2,
    "optimizer": {"lr": 3e-3, "weight_decay": 1.0},  #! "optimizer": {"lr": 3e-3, "weight_decay": 1e-5},
    "batch": 80,
    "epochs": 10,
}


def customers(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, CONFIG["features"], generator=g)
    drive = 1.5 * x[:, 0] - x[:, 1] + 1.5 * x[:, 2] * x[:, 3] - 0.8 * x[:, 4].abs() + 0.5
    leave = torch.rand(n, generator=g) < torch.sigmoid(2.5 * drive)
    return x, leave.float().unsqueeze(1)


class GatedLayer(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 2 * width)

    def forward(self, h: Tensor) -> Tensor:
        return h + nn.functional.glu(self.wide(self.norm(h)), dim=-1)


def build() -> nn.Module:
    body = [GatedLayer(CONFIG["width"]) for _ in range(CONFIG["layers"])]
    return nn.Sequential(nn.Linear(CONFIG["features"], CONFIG["width"]), *body, nn.LayerNorm(CONFIG["width"]), nn.Linear(CONFIG["width"], 1))


def accuracy(output: Tensor, target: Tensor) -> float:
    decided = output.argmax(dim=1, keepdim=True)  #! decided = (output > 0).long()
    return (decided == target.long()).float().mean().item()


def main() -> None:
    torch.manual_seed(SEED)
    g = torch.Generator().manual_seed(SEED + 3)
    train, valid = customers(CONFIG["rows"], g), customers(600, g)
    model, objective = build(), nn.BCEWithLogitsLoss()
    optimizer = optim.Adam(model.parameters(), **CONFIG["optimizer"])  #@
    for epoch in range(CONFIG["epochs"]):
        model.train()
        for idx in torch.randperm(CONFIG["rows"], generator=g).split(CONFIG["batch"]):
            loss = objective(model(train[0][idx]), train[1][idx])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            output = model(valid[0])
        print(f"epoch {epoch}: train {loss.item():.4f} valid {objective(output, valid[1]).item():.4f} accuracy {accuracy(output, valid[1]):.3f}")  #@


main()
