"""Click prediction from categorical fields with a factorization machine, written as plain functions."""
# case: L13
# codes: loss.target-domain
# split: held-out
import numpy as np
import torch
import torch.nn.functional as F

SEED = 0
FIELDS = {"device": 4, "hour": 24, "advertiser": 40, "page": 60, "format": 6}


def simulate_log(n, rng, true_rank=3):
    columns = np.stack([rng.integers(0, size, n) for size in FIELDS.values()], axis=1)
    factors = [rng.normal(0, 0.8, (size, true_rank)) for size in FIELDS.values()]
    bias = [rng.normal(0, 0.7, size) for size in FIELDS.values()]
    taste = np.stack([f[c] for f, c in zip(factors, columns.T)], axis=1)
    pairwise = 0.5 * ((taste.sum(1) ** 2).sum(1) - (taste**2).sum((1, 2)))
    linear = sum(b[c] for b, c in zip(bias, columns.T))
    clicked = np.where(2 * (pairwise + linear - 0.4) + rng.logistic(size=n) * 0.5 > 0, 1, -1)
    offsets = np.cumsum([0, *FIELDS.values()])[:-1]
    return torch.from_numpy(columns + offsets), torch.from_numpy(clicked)


def init_params(n_ids, rank, gen):
    params = {
        "w0": torch.zeros(1),
        "w": torch.zeros(n_ids),
        "v": 0.1 * torch.randn(n_ids, rank, generator=gen),
    }
    return {name: value.requires_grad_() for name, value in params.items()}


def fm(params, ids):
    v = params["v"][ids]
    second_order = 0.5 * (v.sum(1).square() - v.square().sum(1)).sum(-1)
    return params["w0"] + params["w"][ids].sum(1) + second_order


def auc(score, clicked):
    rank = score.argsort().argsort().double() + 1
    positive = clicked > 0
    n_pos, n_neg = positive.sum(), (~positive).sum()
    return ((rank[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)).item()


def train(steps=600, batch=256, rank=6):
    rng = np.random.default_rng(SEED)
    gen = torch.Generator().manual_seed(SEED)
    ids, clicked = simulate_log(24000, rng)
    split = 20000
    params = init_params(sum(FIELDS.values()), rank, gen)
    optimizer = torch.optim.Adam(params.values(), lr=0.02)
    labels = clicked.float()  #! labels = (clicked > 0).float()
    for step in range(1, steps + 1):
        rows = torch.randint(0, split, (batch,), generator=gen)
        loss = F.binary_cross_entropy_with_logits(fm(params, ids[rows]), labels[rows])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            with torch.no_grad():
                score = fm(params, ids[split:])
                val_loss = F.binary_cross_entropy_with_logits(score, labels[split:])
                said_yes = (score > 0).float().mean()
            print(f"step {step} loss {loss:.3f} val {val_loss:.3f} auc {auc(score, clicked[split:]):.3f} clicks {said_yes:.2f}")
    return params


if __name__ == "__main__":
    train()
