"""Word tagger: a bidirectional LSTM labels every word of a toy sentence with its part of speech."""
# case: L03
# codes: loss.wrong-space-into-nll
# split: held-out
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
random.seed(SEED)
torch.manual_seed(SEED)

LEXICON = {
    "DET": ["the", "a", "every", "this"],
    "ADJ": ["red", "quick", "heavy", "old", "light"],
    "NOUN": ["dog", "boat", "light", "run", "stone", "cook"],
    "VERB": ["run", "sees", "cook", "lifts", "stone"],
    "ADV": ["often", "quickly", "late"],
}
TAGS = list(LEXICON)
WORDS = sorted({word for words in LEXICON.values() for word in words})
word_to_ix = {word: i for i, word in enumerate(WORDS)}
tag_to_ix = {tag: i for i, tag in enumerate(TAGS)}


def noun_phrase():
    return ["DET"] + ["ADJ"] * random.choice([0, 1, 2]) + ["NOUN"]


def sentence():
    tags = noun_phrase() + ["ADV"] * random.choice([0, 1]) + ["VERB"] + noun_phrase()
    return [random.choice(LEXICON[tag]) for tag in tags], tags


def encode(items, table):
    return torch.tensor([table[item] for item in items])


class Tagger(nn.Module):
    def __init__(self, vocab, n_tags, emb=16, hidden=24):
        super().__init__()
        self.embed = nn.Embedding(vocab, emb)
        self.lstm = nn.LSTM(emb, hidden, bidirectional=True)
        self.hidden2tag = nn.Linear(2 * hidden, n_tags)

    def forward(self, sent):
        out, _ = self.lstm(self.embed(sent).unsqueeze(1))
        space = self.hidden2tag(out.squeeze(1))
        return F.softmax(space, dim=1)  #! return F.log_softmax(space, dim=1)


corpus = [sentence() for _ in range(500)]
train_corpus, dev_corpus = corpus[:400], corpus[400:]
model = Tagger(len(WORDS), len(TAGS))
loss_function = nn.NLLLoss()  #@
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(2):
    random.shuffle(train_corpus)
    total = 0.0
    for step, (words, tags) in enumerate(train_corpus, 1):
        model.zero_grad()
        scores = model(encode(words, word_to_ix))
        loss = loss_function(scores, encode(tags, tag_to_ix))
        loss.backward()
        optimizer.step()
        total += loss.item()
        if step % 100 == 0:
            print(f"epoch {epoch} sentence {step} loss {total / 100:.4f}")
            total = 0.0
    with torch.no_grad():
        right = [(model(encode(w, word_to_ix)).argmax(1) == encode(t, tag_to_ix)).float().mean() for w, t in dev_corpus]
        print(f"epoch {epoch} dev accuracy {torch.stack(right).mean():.3f}")
