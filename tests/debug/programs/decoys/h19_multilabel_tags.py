"""Multi-label tagging with independent sigmoids."""
# case: H19
# codes: none
# split: rules

import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)

counts, tags = make_multilabel_classification(
    n_samples=3000, n_features=40, n_classes=8, n_labels=3, length=120, random_state=SEED
)
x_tr, x_va, y_tr, y_va = train_test_split(counts, tags, test_size=0.2, random_state=SEED)
mu, sigma = x_tr.mean(0), x_tr.std(0) + 1e-6
x_tr, x_va = (torch.tensor((a - mu) / sigma, dtype=torch.float32) for a in (x_tr, x_va))
y_tr, y_va = (torch.tensor(a, dtype=torch.float32) for a in (y_tr, y_va))

tagger = nn.Sequential(nn.Linear(40, 96), nn.ELU(), nn.Dropout(0.2), nn.Linear(96, 8))
bce = nn.BCEWithLogitsLoss()
optimizer = torch.optim.RMSprop(tagger.parameters(), lr=1e-3)
loader = DataLoader(TensorDataset(x_tr, y_tr), batch_size=64, shuffle=True)

for epoch in range(10):
    tagger.train()
    mean_loss = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = bce(tagger(x), y)
        loss.backward()
        optimizer.step()
        mean_loss += loss.item() / len(loader)
    tagger.eval()
    with torch.no_grad():
        logits = tagger(x_va)
        f1 = f1_score(y_va.numpy(), (logits > 0).numpy(), average="micro")
        print(f"epoch {epoch} bce {mean_loss:.4f} | val bce {bce(logits, y_va).item():.4f} micro-F1 {f1:.3f}")
