"""Predict whether a customer leaves, from a table of usage figures."""
# case: L08
# codes: loss.single-unit-softmax
# split: rules

import torch
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)

X, y = make_classification(
    n_samples=2000, n_features=14, n_informative=8, class_sep=1.2, weights=[0.6], random_state=SEED
)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.2, stratify=y, random_state=SEED)
scaler = StandardScaler().fit(X_train)


def tensors(features, labels):
    features = torch.tensor(scaler.transform(features), dtype=torch.float32)
    return features, torch.tensor(labels, dtype=torch.float32).unsqueeze(1)


train_loader = DataLoader(TensorDataset(*tensors(X_train, y_train)), batch_size=64, shuffle=True)
x_val, t_val = tensors(X_val, y_val)

model = nn.Sequential(
    nn.Linear(14, 64),
    nn.BatchNorm1d(64),
    nn.ReLU(),
    nn.Dropout(0.1),
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 1),
    nn.Softmax(dim=1),  #! nn.Sigmoid(),
)
criterion = nn.BCELoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)

for epoch in range(10):
    model.train()
    running = 0.0
    for features, target in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(features), target)  #@
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        chance = model(x_val)
        val_loss = criterion(chance, t_val).item()
    auc = roc_auc_score(y_val, chance.squeeze(1).numpy())
    print(f"epoch {epoch + 1}: train {running / len(train_loader):.4f} val {val_loss:.4f} AUC {auc:.3f}")
