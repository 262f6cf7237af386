"""Encoder-decoder that sorts short sequences of symbols; batches are padded to the longest possible length."""
# case: double
# codes: step.graph-cut
# also: loss.padding-counted
# split: held-out

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

SEED = 0
PAD, BOS, SYMBOLS, LONGEST = 0, 1, 6, 12
torch.manual_seed(SEED)


def make(n):
    length = torch.randint(3, 7, (n,))
    source = torch.randint(2, 2 + SYMBOLS, (n, LONGEST))
    source[torch.arange(LONGEST) >= length.unsqueeze(1)] = 99
    target = source.sort(1).values
    return source.masked_fill(source == 99, PAD), target.masked_fill(target == 99, PAD), length


class Seq2Seq(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.embed = nn.Embedding(2 + SYMBOLS, 24, padding_idx=PAD)
        self.encoder = nn.GRU(24, width, batch_first=True)
        self.decoder = nn.GRU(24 + width, width, batch_first=True)
        self.project = nn.Linear(width, 2 + SYMBOLS)

    def forward(self, source, length, shifted):
        packed = pack_padded_sequence(self.embed(source), length, batch_first=True, enforce_sorted=False)
        _, memory = self.encoder(packed)
        memory = memory.detach()  #!
        context = memory[-1].unsqueeze(1).expand(-1, shifted.shape[1], -1)
        out, _ = self.decoder(torch.cat([self.embed(shifted), context], -1), memory)  #@
        return self.project(out)


def loss_and_accuracy(model, batch):
    source, target, length = batch
    shifted = torch.cat([torch.full_like(target[:, :1], BOS), target[:, :-1]], 1)
    logits = model(source, length, shifted)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())  #! loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)
    real = target != PAD
    return loss, (logits.argmax(-1)[real] == target[real]).float().mean()


train, valid = make(3000), make(400)
model = Seq2Seq()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for step in range(1, 301):
    idx = torch.randint(len(train[0]), (64,))
    loss, _ = loss_and_accuracy(model, [part[idx] for part in train])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 50 == 0:
        with torch.no_grad():
            val_loss, accuracy = loss_and_accuracy(model, valid)
        print(f"step {step}: train {loss.item():.4f}, valid {val_loss.item():.4f}, symbol accuracy {accuracy:.3f}")
