"""skorch regressor for a noisy test function, in a scikit-learn style script."""
# case: L05
# codes: loss.broadcast
# needs: skorch
# split: held-out

import warnings
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor
from skorch.callbacks import PrintLog
from torch import nn

SEED = 0
warnings.filterwarnings("ignore", category=UserWarning)
np.random.seed(SEED)
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self, n_features, units=(64, 32)):
        super().__init__()
        sizes = [n_features, *units]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out = nn.Linear(sizes[-1], 1)

    def forward(self, X):
        for layer in self.layers:
            X = nn.functional.gelu(layer(X))
        return self.out(X)  #@


X, y = make_friedman1(n_samples=1500, n_features=8, noise=0.5, random_state=SEED)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=SEED)
x_scaler = StandardScaler().fit(X_train)
y_mean, y_std = y_train.mean(), y_train.std()
X_train, X_test = (x_scaler.transform(part).astype(np.float32) for part in (X_train, X_test))
target = ((y_train - y_mean) / y_std).astype(np.float32)  #! target = ((y_train - y_mean) / y_std).astype(np.float32).reshape(-1, 1)

net = NeuralNetRegressor(
    Net(X_train.shape[1]),
    criterion=nn.MSELoss,  #@
    optimizer=torch.optim.Adam,
    lr=3e-3,
    batch_size=48,
    max_epochs=12,
    iterator_train__shuffle=True,
    callbacks__print_log=PrintLog(sink=print),
    verbose=1,
)
net.fit(X_train, target)  #@
prediction = net.predict(X_test).reshape(-1) * y_std + y_mean
print(f"test R2 {r2_score(y_test, prediction):.3f}")
