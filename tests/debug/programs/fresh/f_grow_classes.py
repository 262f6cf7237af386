"""Class-incremental classifier: trained on five kinds of crystals, then widened to eight."""
# case: O07
# codes: step.parameter-not-optimised
# split: fresh
import torch
import torch.nn as nn

SEED = 0


class CrystalClassifier:
    def __init__(self, features, classes, lr=4e-3):
        self.body = nn.Sequential(nn.Linear(features, 64), nn.Mish(), nn.Linear(64, 32), nn.Mish())
        self.top = nn.Linear(32, classes)
        self.lr = lr
        self.make_optimizer()

    def make_optimizer(self):
        self.optimizer = torch.optim.Adam(
            [{"params": self.body.parameters(), "lr": self.lr / 100}, {"params": self.top.parameters()}], lr=self.lr
        )

    def widen(self, extra):
        old = self.top
        self.top = nn.Linear(old.in_features, old.out_features + extra)
        with torch.no_grad():
            self.top.weight[: old.out_features] = old.weight
            self.top.bias[: old.out_features] = old.bias
        #+ self.make_optimizer()

    def logits(self, x):
        return self.top(self.body(x))

    def fit(self, x, y, epochs, batch=40):
        for _ in range(epochs):
            for i in torch.randperm(len(x)).split(batch):
                loss = nn.functional.cross_entropy(self.logits(x[i]), y[i])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()  #@
        return loss.item()

    @torch.no_grad()
    def report(self, x, y):
        guess = self.logits(x).argmax(1)
        return " ".join(f"{(guess[y == k] == k).float().mean():.2f}" for k in y.unique().tolist()), (guess == y).float().mean().item()


def crystals(n, classes, centres):
    y = torch.randint(0, classes, (n,))
    return centres[y] + 1.0 * torch.randn(n, centres.shape[1]), y


torch.manual_seed(SEED)
centres = 1.6 * torch.randn(8, 10)
clf = CrystalClassifier(10, 5)
print("five kinds, loss", round(clf.fit(*crystals(800, 5, centres), epochs=20), 3))
print("  recall %s, accuracy %.3f" % clf.report(*crystals(300, 5, centres)))
clf.widen(3)
print("eight kinds, loss", round(clf.fit(*crystals(1200, 8, centres), epochs=8), 3))  #@
print("  recall %s, accuracy %.3f" % clf.report(*crystals(400, 8, centres)))
