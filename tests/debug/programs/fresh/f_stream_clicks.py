"""Clicks from an endless stream: IterableDataset, bfloat16 autocast, averaged weights, checkpoint and resume."""
# case: healthy
# codes: none
# split: fresh
import io

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset

SEED = 0


class ClickStream(IterableDataset):
    def __init__(self, seed, length):
        self.seed, self.length = seed, length

    def __iter__(self):
        g = torch.Generator().manual_seed(self.seed)
        taste = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
        look = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
        for _ in range(self.length):
            u, i = int(torch.randint(0, 30, (), generator=g)), int(torch.randint(0, 50, (), generator=g))
            p = torch.sigmoid(2 * taste[u] @ look[i] - 0.5)
            yield u, i, float(torch.rand((), generator=g) < p)


class Scorer(nn.Module):
    def __init__(self, dim=12):
        super().__init__()
        self.u, self.i = nn.Embedding(30, dim), nn.Embedding(50, dim)
        self.mlp = nn.Sequential(nn.Linear(3 * dim, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, u, i):
        a, b = self.u(u), self.i(i)
        return self.mlp(torch.cat([a, b, a * b], 1)).squeeze(1)


def train(net, ema, opt, stream):
    for u, i, click in DataLoader(stream, batch_size=64):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            score = net(u, i)
        loss = nn.functional.binary_cross_entropy_with_logits(score.float(), click.float())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        ema.update_parameters(net)
    return loss.item()


@torch.no_grad()
def test(model):
    u, i, click = next(iter(DataLoader(ClickStream(SEED + 77, 2000), batch_size=2000)))
    return nn.functional.binary_cross_entropy_with_logits(model(u, i), click.float()).item(), ((model(u, i) > 0) == (click > 0.5)).float().mean().item()


def fresh():
    net = Scorer()
    return net, AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.98)), torch.optim.Adam(net.parameters(), lr=5e-3)


if __name__ == "__main__":
    torch.manual_seed(SEED)
    net, ema, opt = fresh()
    for part in range(3):
        loss = train(net, ema, opt, ClickStream(SEED + 100 + part, 4000))
        print(f"part {part}: loss {loss:.3f}, averaged model: loss %.3f accuracy %.3f" % test(ema))
    store = io.BytesIO()
    torch.save({"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict()}, store)
    store.seek(0)
    net, ema, opt = fresh()
    state = torch.load(store, weights_only=True)
    net.load_state_dict(state["net"]), ema.load_state_dict(state["ema"]), opt.load_state_dict(state["opt"])
    for part in range(3, 5):
        loss = train(net, ema, opt, ClickStream(SEED + 100 + part, 4000))
        print(f"part {part}: loss {loss:.3f}, averaged model: loss %.3f accuracy %.3f" % test(ema))
