"""Sequence to sequence: write the letters of a word in reverse order (GRU encoder and decoder, teacher forcing)."""
# case: L10
# codes: loss.padding-counted
# split: fresh
import random

import torch
import torch.nn as nn

SEED = 0
PAD, BOS, EOS = 0, 1, 2
LETTERS = "abcdefgh"
MAX_LEN = 18


def make_pairs(n, rng):
    pairs = []
    for _ in range(n):
        length = rng.choice([2, 3, 3, 4, 4, 8])
        word = [3 + rng.randrange(len(LETTERS)) for _ in range(length)]
        pairs.append((word, word[::-1]))
    return pairs


def pad(seqs, length):
    return torch.tensor([s + [PAD] * (length - len(s)) for s in seqs])


def collate(pairs):
    src = pad([a for a, _ in pairs], MAX_LEN)
    tgt_in = pad([[BOS] + b for _, b in pairs], MAX_LEN)
    tgt_out = pad([b + [EOS] for _, b in pairs], MAX_LEN)
    return src, torch.tensor([len(a) for a, _ in pairs]), tgt_in, tgt_out


class Seq2Seq(nn.Module):
    def __init__(self, vocab, dim=64):
        super().__init__()
        self.src_emb, self.tgt_emb = nn.Embedding(vocab, dim, padding_idx=PAD), nn.Embedding(vocab, dim, padding_idx=PAD)
        self.encoder, self.decoder = nn.GRU(dim, dim, batch_first=True), nn.GRU(dim, dim, batch_first=True)
        self.proj = nn.Linear(dim, vocab)

    def forward(self, src, lengths, tgt_in):
        packed = nn.utils.rnn.pack_padded_sequence(self.src_emb(src), lengths, batch_first=True, enforce_sorted=False)
        _, h = self.encoder(packed)
        out, _ = self.decoder(self.tgt_emb(tgt_in), h)
        return self.proj(out)


def main():
    rng = random.Random(SEED)
    torch.manual_seed(SEED)
    train, test = make_pairs(1600, rng), make_pairs(200, rng)
    model = Seq2Seq(3 + len(LETTERS))
    criterion = nn.CrossEntropyLoss()  #! criterion = nn.CrossEntropyLoss(ignore_index=PAD)
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
    for epoch in range(1, 13):
        rng.shuffle(train)
        total = 0.0
        for i in range(0, len(train), 64):
            src, lengths, tgt_in, tgt_out = collate(train[i : i + 64])
            logits = model(src, lengths, tgt_in)
            loss = criterion(logits.transpose(1, 2), tgt_out)  #@
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        with torch.no_grad():
            src, lengths, tgt_in, tgt_out = collate(test)
            right = model(src, lengths, tgt_in).argmax(-1) == tgt_out
        print(f"epoch {epoch:2d} | loss {total / 25:.3f} | letters right {right[tgt_out != PAD].float().mean():.3f}")


if __name__ == "__main__":
    main()
