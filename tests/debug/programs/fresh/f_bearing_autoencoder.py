"""Vibration windows of a bearing: autoencoder whose reconstruction error marks damaged ones."""
# case: L06
# codes: loss.reduction-scale, step.learning-rate-too-high
# split: fresh
import torch
from sklearn.metrics import roc_auc_score

SEED = 0
torch.manual_seed(SEED)


def windows(n, damaged=False):
    t = torch.arange(64) / 64
    base = torch.rand(n, 1) * 6.28
    sig = torch.sin(2 * torch.pi * 3 * t + base) + 0.5 * torch.sin(2 * torch.pi * 7 * t + 2 * base)
    if damaged:
        k = torch.randint(0, 64, (n, 1))
        sig = sig + 1.2 * torch.exp(-((torch.arange(64) - k) ** 2) / 3.0) * torch.sign(torch.randn(n, 1))
    return sig + 0.05 * torch.randn(n, 64)


class BearingAE(torch.nn.Module):
    def __init__(self, width=32, code=4):
        super().__init__()
        L, A = torch.nn.Linear, torch.nn.ELU
        self.compress = torch.nn.Sequential(L(64, width), A(), L(width, code))
        self.expand = torch.nn.Sequential(L(code, width), A(), L(width, 64))

    def forward(self, w):
        return self.expand(self.compress(w))


good = windows(2048)
probe = torch.cat([windows(200), windows(200, damaged=True)])
damaged = torch.cat([torch.zeros(200), torch.ones(200)])
ae = BearingAE()
criterion = torch.nn.MSELoss(reduction="sum")  #! criterion = torch.nn.MSELoss()
sgd = torch.optim.SGD(ae.parameters(), lr=0.3, momentum=0.9)  #@
for epoch in range(40):
    running = 0.0
    for batch in good[torch.randperm(len(good))].split(128):
        loss = criterion(ae(batch), batch)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        running += loss.item()
    if epoch % 8 == 7:
        print(f"epoch {epoch + 1:3d}   loss {running / 16:.4f}")
with torch.no_grad():
    score = ((ae(probe) - probe) ** 2).mean(1).nan_to_num(0.0, 0.0, 0.0)
print("ROC AUC on damaged windows:", round(roc_auc_score(damaged, score), 3))
