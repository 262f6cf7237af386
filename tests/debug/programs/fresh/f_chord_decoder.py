"""Chord symbols of songs of different length, next symbol by a small decoder; short songs are filled up."""
# case: double
# codes: model.future-leak
# also: loss.padding-counted
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
FILL, CHORDS, LONGEST = 0, 7, 24
torch.manual_seed(SEED)
next_chord = torch.softmax(2.0 * torch.randn(CHORDS, CHORDS), 1)


def song():
    n = int(torch.randint(6, LONGEST + 1, ()))
    s = [int(torch.randint(CHORDS, ()))]
    while len(s) < n:
        s.append(int(torch.multinomial(next_chord[s[-1]], 1)))
    return torch.tensor([c + 1 for c in s] + [FILL] * (LONGEST - n))


class Decoder(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.chord, self.place = nn.Embedding(CHORDS + 1, d), nn.Embedding(LONGEST, d)
        self.attend = nn.MultiheadAttention(d, 2, batch_first=True)
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.ffn = nn.Sequential(nn.Linear(d, 64), nn.GELU(), nn.Linear(64, d))
        self.out = nn.Linear(d, CHORDS + 1)

    def forward(self, s):
        n = s.shape[1]
        h = self.chord(s) + self.place(torch.arange(n))
        later = torch.zeros(n, n, dtype=torch.bool)  #! later = torch.ones(n, n, dtype=torch.bool).triu(1)
        q = self.n1(h)
        h = h + self.attend(q, q, q, attn_mask=later, need_weights=False)[0]  #@
        return self.out(h + self.ffn(self.n2(h)))


songs = torch.stack([song() for _ in range(500)])
fresh = torch.stack([song() for _ in range(100)])
net = Decoder()
opt = torch.optim.AdamW(net.parameters(), lr=3e-3)
for epoch in range(1, 21):
    for i in torch.randperm(500).split(25):
        seen, nxt = songs[i, :-1], songs[i, 1:]
        loss = F.cross_entropy(net(seen).flatten(0, 1), nxt.flatten())  #! loss = F.cross_entropy(net(seen).flatten(0, 1), nxt.flatten(), ignore_index=FILL)
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 5 == 0:
        with torch.no_grad():
            at = torch.tensor([int((s != FILL).sum()) for s in fresh]) - 1
            logit = torch.stack([net(s[None, :n])[0, -1] for s, n in zip(fresh, at.tolist())])
            last = F.cross_entropy(logit, fresh[torch.arange(100), at])
        print(f"epoch {epoch}: loss {loss.item():.3f}, last chord from the chords before it {last.item():.3f}")
