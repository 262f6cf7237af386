"""Spell numbers in words ("5207" to "five thousand two hundred seven") with a GRU encoder and a GRU decoder."""
# case: L10
# codes: loss.padding-counted
# split: held-out
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_sequence, pad_sequence

SEED = 0
ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " \
       "seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
VOCAB = ["<pad>", "<bos>", "<eos>", *ONES, *TENS[2:], "hundred", "thousand"]
PAD, BOS, EOS = 0, 1, 2
index = {word: i for i, word in enumerate(VOCAB)}


def spell(n):
    if n < 20:
        return [ONES[n]] if n else []
    if n < 100:
        return [TENS[n // 10], *spell(n % 10)]
    if n < 1000:
        return [*spell(n // 100), "hundred", *spell(n % 100)]
    return [*spell(n // 1000), "thousand", *spell(n % 1000)]


def batch_of(numbers):
    source = pack_sequence([torch.tensor([int(d) for d in str(n)]) for n in numbers], enforce_sorted=False)
    target = [torch.tensor([BOS, *(index[w] for w in spell(n)), EOS]) for n in numbers]
    return source, pad_sequence(target, batch_first=True, padding_value=PAD)


class Speller(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.digit = nn.Embedding(10, 16)
        self.word = nn.Embedding(len(VOCAB), 32, padding_idx=PAD)
        self.encoder = nn.GRU(16, dim, batch_first=True)
        self.decoder = nn.GRU(32 + dim, dim, batch_first=True)
        self.readout = nn.Linear(dim, len(VOCAB))

    def forward(self, source, words):
        _, state = self.encoder(source._replace(data=self.digit(source.data)))
        summary = state[-1].unsqueeze(1).expand(-1, words.shape[1], -1)
        out, _ = self.decoder(torch.cat([self.word(words), summary], dim=-1), state)
        return self.readout(out)


def nll(logits, gold):
    return F.cross_entropy(logits.transpose(1, 2), gold)  #! return F.cross_entropy(logits.transpose(1, 2), gold, ignore_index=PAD)


random.seed(SEED)
torch.manual_seed(SEED)
numbers = [random.randrange(1, 10 ** random.choice([1, 2, 2, 3, 3, 4, 6])) for _ in range(4000)]
held_out = sorted(set(random.sample(numbers, 250)))
numbers = [n for n in numbers if n not in held_out]
model = Speller()
adam = torch.optim.Adam(model.parameters(), lr=6e-3)
for step in range(1, 241):
    source, target = batch_of(random.sample(numbers, 48))
    loss = nll(model(source, target[:, :-1]), target[:, 1:])  #@
    adam.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adam.step()
    if step % 40 == 0:
        with torch.no_grad():
            source, target = batch_of(held_out)
            guess = model(source, target[:, :-1]).argmax(-1)
            words = target[:, 1:] != PAD
            right = (guess == target[:, 1:])[words].float().mean()
        print(f"step {step:3d}  loss {loss:.3f}  words right on new numbers {right:.3f}")
