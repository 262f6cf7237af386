"""Readmission after a series of visits of different length: gated recurrent network with its own padding function."""
# case: G08
# codes: model.padding-dependence
# split: fresh
import torch
from torch import nn

SEED = 0


def pad_visits(histories):
    longest = max(len(h) for h in histories)
    out = torch.zeros(len(histories), longest, histories[0].shape[1])
    for row, h in enumerate(histories):
        out[row, : len(h)] = h
    return out, torch.tensor([len(h) for h in histories])


class Readmission(nn.Module):
    def __init__(self, measures=5, hidden=24):
        super().__init__()
        self.gru = nn.GRU(measures, hidden, batch_first=True)
        self.risk = nn.Linear(hidden, 1)

    def forward(self, visits, count):
        states, _ = self.gru(visits)
        last = states[:, -1]  #! last = states[torch.arange(len(count)), count - 1]
        return self.risk(last).squeeze(1)  #@


def cohort(n):
    histories, back = [], []
    for _ in range(n):
        h = torch.randn(int(torch.randint(1, 25, ())), 5)
        histories.append(h)
        back.append(float(h[-1, 0] + 0.8 * h[-1, 1] > 0))
    return histories, torch.tensor(back)


torch.manual_seed(SEED)
histories, back = cohort(1000)
visits_t, count_t = pad_visits((test := cohort(400))[0])
net = Readmission()
opt = torch.optim.Adam(net.parameters(), lr=6e-3)
for epoch in range(8):
    tot = 0.0
    for i in torch.randperm(1000).split(40):
        visits, count = pad_visits([histories[k] for k in i])
        loss = nn.functional.binary_cross_entropy_with_logits(net(visits, count), back[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 25
    with torch.no_grad():
        right = ((net(visits_t, count_t) > 0).float() == test[1]).float().mean()
    print(f"epoch {epoch + 1}: loss {tot:.4f}, test {right:.3f}")
