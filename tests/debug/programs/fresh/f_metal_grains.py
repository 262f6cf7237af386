"""Grain structures of steel under the microscope; a class that trains, validates and keeps a log."""
# case: double
# codes: loss.probabilities-into-cross-entropy
# also: mode.evaluating-in-train
# split: fresh
import torch
from torch import nn

SEED = 0


def micrographs(n):
    kind = torch.randint(0, 3, (n,))
    noise = torch.randn(n, 1, 18, 18)
    smooth = [noise, nn.functional.avg_pool2d(noise, 3, 1, 1) * 3, nn.functional.avg_pool2d(noise, (1, 5), 1, (0, 2)) * 5**0.5]
    img = torch.stack(smooth)[kind, torch.arange(n)]
    return img + 0.5 * torch.randn_like(img), kind


class GrainNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(0.4)
        )
        self.scores = nn.Linear(144, 3)

    def forward(self, x):
        z = self.scores(self.features(x))
        return nn.functional.softmax(z, dim=-1)  #! return z


class Laboratory:
    def __init__(self, net, lr):
        self.net, self.log = net, []
        self.opt = torch.optim.Adam(net.parameters(), lr=lr)
        self.cost = nn.CrossEntropyLoss()

    def fit(self, data, valid, epochs):
        self.net.train()
        for _ in range(epochs):
            for i in torch.randperm(len(data[0])).split(30):
                cost = self.cost(self.net(data[0][i]), data[1][i])  #@
                self.opt.zero_grad()
                cost.backward()
                self.opt.step()
            self.log.append((cost.item(), *self.validate(valid)))
            print("epoch %d: cost %.3f, validation cost %.3f, accuracy %.3f" % (len(self.log), *self.log[-1]))

    @torch.no_grad()
    def validate(self, valid):
        #+ self.net.eval()
        out = torch.cat([self.net(x) for x in valid[0].split(8)])  #@
        #+ self.net.train()
        return self.cost(out, valid[1]).item(), (out.argmax(1) == valid[1]).float().mean().item()


if __name__ == "__main__":
    torch.manual_seed(SEED)
    Laboratory(GrainNet(), 2e-3).fit(micrographs(450), micrographs(200), epochs=8)
