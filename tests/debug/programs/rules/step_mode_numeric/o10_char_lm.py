"""Character-level language model of a small grammar of sentences."""
# case: O10
# codes: step.learning-rate-too-low
# split: rules

import random

import torch
import torch.nn as nn

SEED = 0

SUBJECTS = ["the cat", "a dog", "my horse", "the old man", "her sister"]
VERBS = ["sees", "likes", "follows", "hears"]
OBJECTS = ["the moon", "a red ball", "the quiet river", "some music"]

CONFIG = {
    "block": 48,
    "batch": 16,
    "embedding": 16,
    "hidden": 64,
    "steps": 180,
    "learning_rate": 1e-6,  #! "learning_rate": 1e-2,
    "weight_decay": 0.01,
}


def corpus(n, rng):
    return "".join(f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}.\n" for _ in range(n))


class CharLM(nn.Module):
    def __init__(self, vocab, embedding, hidden):
        super().__init__()
        self.embed = nn.Embedding(vocab, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, tokens):
        states, _ = self.lstm(self.embed(tokens))
        return self.out(states)


def get_batch(stream, config):
    starts = torch.randint(len(stream) - config["block"] - 1, (config["batch"],))
    chunk = torch.stack([stream[s : s + config["block"] + 1] for s in starts.tolist()])
    return chunk[:, :-1], chunk[:, 1:]


def loss_on(model, stream, config):
    tokens, target = get_batch(stream, config)
    return nn.functional.cross_entropy(model(tokens).flatten(0, 1), target.flatten())


def train(config):
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    text, held_out = corpus(600, rng), corpus(80, rng)
    chars = sorted(set(text + held_out))
    index = {c: i for i, c in enumerate(chars)}
    stream, val_stream = (torch.tensor([index[c] for c in t]) for t in (text, held_out))
    model = CharLM(len(chars), config["embedding"], config["hidden"])
    optimizer = torch.optim.AdamW(model.parameters(), config["learning_rate"], weight_decay=config["weight_decay"])  #@
    for step in range(config["steps"]):
        loss = loss_on(model, stream, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 30 == 0 or step == config["steps"] - 1:
            with torch.no_grad():
                val = loss_on(model, val_stream, config)
            print(f"step {step:4d} | train {loss.item():.3f} | val {val.item():.3f}")


if __name__ == "__main__":
    train(CONFIG)
