"""Shape of orbits from three observed angles; weights set by hand-written initialisation for repeatability."""
# case: G02
# codes: model.symmetric-init
# split: fresh
import torch
import torch.nn as nn

SEED = 0


def initialise(module):
    if isinstance(module, nn.Linear):
        nn.init.constant_(module.weight, 0.1)  #! nn.init.xavier_normal_(module.weight)
        nn.init.constant_(module.bias, 0.0)


def orbits(n):
    e = torch.rand(n)
    m = torch.rand(n, 1) * 6.28 + torch.tensor([0.0, 0.7, 1.6])
    big_e = m.clone()
    for _ in range(30):
        big_e = m + e[:, None] * 0.8 * torch.sin(big_e)
    x = torch.cat([torch.cos(big_e), torch.sin(big_e), torch.cos(m), torch.sin(m)], 1)
    return x, torch.bucketize(e, torch.tensor([0.25, 0.5, 0.75]))


def main():
    torch.manual_seed(SEED)
    x, k = orbits(1600)
    xt, kt = orbits(400)
    net = nn.Sequential(nn.Linear(12, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 4))
    net.apply(initialise)  #@
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    ce = nn.CrossEntropyLoss()
    for epoch in range(30):
        losses = []
        for i in torch.randperm(1600).split(80):
            opt.zero_grad()
            loss = ce(net(x[i]), k[i])
            loss.backward()
            opt.step()
            losses.append(loss.item())
        if epoch % 5 == 4:
            with torch.no_grad():
                print(epoch + 1, f"{sum(losses) / len(losses):.3f}", f"{(net(xt).argmax(1) == kt).float().mean():.3f}")


main()
