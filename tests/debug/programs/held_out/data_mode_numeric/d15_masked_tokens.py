"""Classify short instruction sequences (opcodes) by the pass that emitted them, hiding random opcodes while training."""
# case: D15
# codes: data.mutated-in-place
# split: held-out

import torch
from torch import nn

SEED = 0
config = {
    "opcodes": 64, "length": 20, "passes": 4, "hide": 0.2, "hidden_code": 64, "width": 48,
    "batch": 32, "epochs": 16, "rows": 1280,
}


def emit(count, cfg):
    """Every pass favours some pairs of consecutive opcodes."""
    which = torch.randint(cfg["passes"], (count,))
    code = torch.randint(cfg["opcodes"], (count, cfg["length"]))
    for t in range(1, cfg["length"]):
        follow = (code[:, t - 1] * 3 + 5 + 11 * which) % cfg["opcodes"]
        code[:, t] = torch.where(torch.rand(count) < 0.5, follow, code[:, t])
    return list(code), which


class Corpus:
    def __init__(self, code, which, cfg, training):
        self.code, self.which = code, which
        self.cfg, self.training = cfg, training

    def item(self, i):
        code = self.code[i]  #! code = self.code[i].clone()
        if self.training:
            code[torch.rand(len(code)) < self.cfg["hide"]] = self.cfg["hidden_code"]  #@
        return code, self.which[i]

    def __iter__(self):
        order = torch.randperm(len(self.code)) if self.training else torch.arange(len(self.code))
        for rows in order.split(self.cfg["batch"]):
            code, which = zip(*map(self.item, rows.tolist()))
            yield torch.stack(code), torch.stack(which)


class PairNet(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embed = nn.Embedding(cfg["opcodes"] + 1, cfg["width"])
        self.pair = nn.Linear(2 * cfg["width"], 2 * cfg["width"])
        self.out = nn.Linear(2 * cfg["width"], cfg["passes"])

    def forward(self, code):
        h = self.embed(code)
        h = torch.relu(self.pair(torch.cat((h[:, :-1], h[:, 1:]), dim=-1)))
        return self.out(h.mean(dim=1))


torch.manual_seed(SEED)
fit = Corpus(*emit(config["rows"], config), config, training=True)
check = Corpus(*emit(256, config), config, training=False)
model = PairNet(config)
optimizer = torch.optim.Adamax(model.parameters(), lr=5e-3)
for epoch in range(config["epochs"]):
    model.train()
    losses = []
    for code, which in fit:
        loss = nn.functional.cross_entropy(model(code), which)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    model.eval()
    with torch.no_grad():
        hits = [(model(code).argmax(1) == which).float().mean() for code, which in check]
    print(f"{epoch:2d} loss {torch.stack(losses).mean():.3f} accuracy {torch.stack(hits).mean():.3f}")
