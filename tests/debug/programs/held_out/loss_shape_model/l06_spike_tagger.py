"""Mark every sample of a one-channel recording as rest, spike or ripple with a residual 1-D convolution net."""
# case: L06
# codes: loss.reduction-scale, step.learning-rate-too-high
# split: held-out
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
config = {"length": 64, "channels": 16, "blocks": 3, "batch": 64, "lr": 0.2, "momentum": 0.9, "iters": 140}


def record(n, length, gen):
    """Noise with one spike and one ripple each; returns signals (n, 1, length) and labels (n, length)."""
    t = torch.arange(length).float()
    spike_at = torch.randint(4, length - 4, (n, 1), generator=gen)
    ripple_at = torch.randint(8, length - 8, (n, 1), generator=gen)
    spike = 2.5 * torch.exp(-0.5 * (t - spike_at) ** 2)
    bump = torch.exp(-0.5 * ((t - ripple_at) / 4) ** 2)
    ripple = 2.0 * bump * torch.sin(2.2 * (t - ripple_at))
    label = torch.zeros(n, length, dtype=torch.long)
    label[bump > 0.3] = 2
    label[(t - spike_at).abs() < 1.5] = 1
    signal = spike + ripple + 0.3 * torch.randn(n, length, generator=gen)
    return signal.unsqueeze(1).to(device), label.to(device)


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(c, c, 5, padding=2), nn.GroupNorm(4, c), nn.SiLU(), nn.Conv1d(c, c, 1))

    def forward(self, x):
        return x + self.body(x)


def build(cfg):
    c = cfg["channels"]
    blocks = [Residual(c) for _ in range(cfg["blocks"])]
    return nn.Sequential(nn.Conv1d(1, c, 7, padding=3), *blocks, nn.Conv1d(c, 3, 1)).to(device)


def objective(scores, label):
    return F.cross_entropy(scores, label, reduction="sum")  #! return F.cross_entropy(scores, label)


def fit(cfg):
    gen = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    signal, label = record(768, cfg["length"], gen)
    val_signal, val_label = record(96, cfg["length"], gen)
    net = build(cfg)
    sgd = torch.optim.SGD(net.parameters(), lr=cfg["lr"], momentum=cfg["momentum"])  #@
    for it in range(cfg["iters"]):
        rows = torch.randperm(len(signal), generator=gen)[: cfg["batch"]]
        loss = objective(net(signal[rows]), label[rows])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        if it % 25 == 0 or it == cfg["iters"] - 1:
            with torch.no_grad():
                hit = (net(val_signal).argmax(1) == val_label)[val_label > 0].float().mean()
            print(f"iter {it}: loss {loss.item():.4f}, event samples found {hit:.3f}")
    return net


fit(config)
