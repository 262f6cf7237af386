"""Next-symbol model of long periodic symbol streams: a rectified recurrent network written out by hand."""
# case: N05
# codes: numeric.exploding-gradient
# split: held-out

import torch
import torch.nn.functional as F

SEED = 0
SYMBOLS, PERIOD, LENGTH, WIDTH = 12, 7, 50, 64
MOTIFS = torch.randint(SYMBOLS, (8, PERIOD), generator=torch.Generator().manual_seed(SEED + 1))


def streams(count, generator):
    """Every stream repeats one of eight motifs, entered at a random place; now and then a symbol is wrong."""
    which = torch.randint(len(MOTIFS), (count,), generator=generator)
    start = torch.randint(PERIOD, (count, 1), generator=generator)
    stream = MOTIFS[which[:, None], (start + torch.arange(LENGTH + 1)) % PERIOD]
    wrong = torch.rand(stream.shape, generator=generator) < 0.02
    return torch.where(wrong, torch.randint(SYMBOLS, stream.shape, generator=generator), stream)


def build(generator):
    p = {
        "embed": 0.05 * torch.randn(SYMBOLS, WIDTH, generator=generator),
        "recur": torch.eye(WIDTH) + 0.02 * torch.randn(WIDTH, WIDTH, generator=generator),
        "bias": torch.zeros(WIDTH),
        "read": 0.03 * torch.randn(WIDTH, SYMBOLS, generator=generator),
    }
    return {name: tensor.requires_grad_() for name, tensor in p.items()}


def run(p, tokens):
    h = torch.zeros(len(tokens), WIDTH)
    outputs = []
    for x in p["embed"][tokens].unbind(dim=1):
        h = torch.relu(x + h @ p["recur"] + p["bias"])  #@
        outputs.append(h)
    return torch.stack(outputs, dim=1) @ p["read"]


def loss_of(p, batch):
    return F.cross_entropy(run(p, batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


generator = torch.Generator().manual_seed(SEED)
valid = streams(150, generator)
p = build(generator)
optimizer = torch.optim.SGD(p.values(), lr=0.2, momentum=0.9)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.2, total_iters=300)
for step in range(1, 301):
    loss = loss_of(p, streams(32, generator))
    optimizer.zero_grad()
    loss.backward()
    #+ torch.nn.utils.clip_grad_norm_(p.values(), max_norm=1.0)
    optimizer.step()  #@
    scheduler.step()
    if step % 30 == 0:
        with torch.no_grad():
            print(f"step {step}: train {loss.item():.4f}, validation {loss_of(p, valid).item():.4f}")
