"""Bag-of-words autoencoder whose decoder uses the encoder's matrix, transposed."""
# case: O22
# codes: step.tied-weights-apart
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
torch.manual_seed(SEED)
VOCAB, TOPICS = 120, 8
topic_words = torch.distributions.Dirichlet(torch.full((TOPICS, VOCAB), 0.06)).sample()


def documents(n, words=40):
    mix = torch.distributions.Dirichlet(torch.full((n, TOPICS), 0.3)).sample()
    counts = torch.zeros(n, VOCAB)
    ids = torch.multinomial(mix @ topic_words, words, replacement=True)
    return counts.scatter_add_(1, ids, torch.ones(n, words))


class TiedAutoencoder(nn.Module):
    def __init__(self, vocab, code):
        super().__init__()
        self.encode = nn.Linear(vocab, code)
        self.decode = nn.Linear(code, vocab)
        self.tie()

    def tie(self):
        """The decoder has the same weights as the encoder."""
        self.decode.weight = nn.Parameter(self.encode.weight.t().detach().clone())  #! self.decode.weight = None

    def forward(self, counts):
        z = torch.tanh(self.encode(counts.log1p()))
        return F.linear(z, self.decode.weight, self.decode.bias)  #! return F.linear(z, self.encode.weight.t(), self.decode.bias)


docs, unseen = documents(250), documents(400)
net = TiedAutoencoder(VOCAB, 24)
opt = torch.optim.Adam(net.parameters(), lr=6e-3)  #@
for epoch in range(1, 121):
    for i in torch.randperm(len(docs)).split(50):
        loss = -(docs[i] * F.log_softmax(net(docs[i]), 1)).sum(1).mean() / 40
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 20 == 0:
        with torch.no_grad():
            test = -(unseen * F.log_softmax(net(unseen), 1)).sum(1).mean() / 40
        print(f"epoch {epoch}: per word {loss.item():.4f}, unseen documents {test.item():.4f}")
print("numbers to train:", sum(p.numel() for p in net.parameters()))
