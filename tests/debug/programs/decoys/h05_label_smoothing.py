"""Wine cultivars with a smoothed cross-entropy."""
# case: H05
# codes: none
# split: rules

import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn, optim

SEED = 0
torch.manual_seed(SEED)

X, y = load_wine(return_X_y=True)
X_tr, X_va, y_tr, y_va = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
scaler = StandardScaler().fit(X_tr)
X_tr = torch.from_numpy(scaler.transform(X_tr)).float()
X_va = torch.from_numpy(scaler.transform(X_va)).float()
y_tr, y_va = torch.from_numpy(y_tr), torch.from_numpy(y_va)

net = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
opt = optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-3)

for epoch in range(1, 41):
    net.train()
    perm = torch.randperm(len(X_tr))
    running = 0.0
    for i in range(0, len(perm), 31):
        batch = perm[i : i + 31]
        opt.zero_grad()
        loss = criterion(net(X_tr[batch]), y_tr[batch])
        loss.backward()
        opt.step()
        running += loss.item() * len(batch)
    if epoch % 8 == 0:
        net.eval()
        with torch.inference_mode():
            out = net(X_va)
        acc = (out.argmax(1) == y_va).double().mean()
        print(f"[{epoch:3d}] smoothed loss {running / len(X_tr):.3f} | val smoothed {criterion(out, y_va):.3f} acc {acc:.3f}")
