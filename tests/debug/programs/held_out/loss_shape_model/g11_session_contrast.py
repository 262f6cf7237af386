"""Contrastive embedding of two sensors that watch the same scene; every batch comes from one recording session."""
# case: G11
# codes: shape.samples-mixed
# split: held-out
import torch
from torch import nn
from torch.nn import functional as F

SEED = 0
N_SESSIONS, PER_SESSION, N_CHANNELS = 64, 32, 24


def record(gen, sessions):
    """Two noisy views of each scene; the amplifier adds a level of its own to all channels in a session."""
    scene = torch.randn(sessions, PER_SESSION, N_CHANNELS, generator=gen)
    level = 6 * torch.randn(2, sessions, 1, 1, generator=gen)
    views = [scene + level[v] + 0.5 * torch.randn(scene.shape, generator=gen) for v in range(2)]
    return torch.stack(views, dim=2)


def encoder(width=64, out=32):
    return nn.Sequential(
        nn.BatchNorm1d(N_CHANNELS),  #! nn.LayerNorm(N_CHANNELS),
        nn.Linear(N_CHANNELS, width),
        nn.ReLU(),
        nn.Linear(width, out),
    )


def info_nce(a, b, temperature=0.2):
    similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    partner = torch.arange(len(a))
    return (F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)) / 2


@torch.no_grad()
def matched(f, g, pairs):
    """Share of scenes whose nearest embedding from the other sensor is the right one, among 32 of mixed sessions."""
    f.eval(), g.eval()
    mixed = pairs.transpose(0, 1).flatten(0, 1)
    right = []
    for group in mixed.split(PER_SESSION):
        a, b = F.normalize(f(group[:, 0]), dim=1), F.normalize(g(group[:, 1]), dim=1)
        right.append((a @ b.T).argmax(1) == torch.arange(len(group)))
    f.train(), g.train()
    return torch.cat(right).float().mean().item()


def main(epochs=10):
    gen = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    train, held_out = record(gen, N_SESSIONS), record(gen, 16)
    f, g = encoder(), encoder()
    optimizer = torch.optim.Adam([*f.parameters(), *g.parameters()], lr=2e-3)
    for epoch in range(epochs):
        total = 0.0
        for session in torch.randperm(N_SESSIONS, generator=gen):
            left, right = train[session].unbind(dim=1)
            loss = info_nce(f(left), g(right))  #@
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: contrastive loss {total / N_SESSIONS:.3f}, matched in new sessions {matched(f, g, held_out):.3f}")


main()
