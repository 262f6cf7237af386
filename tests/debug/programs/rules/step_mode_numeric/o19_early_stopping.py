"""Early stopping on a small noisy table, then a final score with the best weights."""
# case: O19
# codes: step.checkpoint-aliased
# split: rules

import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 0


class EarlyStopping:
    def __init__(self, patience):
        self.patience, self.best_loss, self.best_epoch, self.best_state = patience, float("inf"), -1, None

    def update(self, epoch, val_loss, model):
        if val_loss < self.best_loss:
            self.best_loss, self.best_epoch = val_loss, epoch
            self.best_state = model.state_dict()  #! self.best_state = {name: value.clone() for name, value in model.state_dict().items()}
        return epoch - self.best_epoch >= self.patience

    def restore(self, model):
        model.load_state_dict(self.best_state)  #@


def get_splits():
    x, y = make_classification(
        n_samples=2000, n_features=30, n_informative=8, n_clusters_per_class=3, flip_y=0.1, random_state=SEED
    )
    x_fit, x_test, y_fit, y_test = train_test_split(x, y, test_size=1200, stratify=y, random_state=SEED)
    x_train, x_val, y_train, y_val = train_test_split(x_fit, y_fit, test_size=400, stratify=y_fit, random_state=SEED)
    scaler = StandardScaler().fit(x_train)
    for xs, ys in ((x_train, y_train), (x_val, y_val), (x_test, y_test)):
        yield torch.tensor(scaler.transform(xs), dtype=torch.float32), torch.tensor(ys)


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x), y).item()


def main():
    torch.manual_seed(SEED)
    train, val, test = get_splits()
    model = nn.Sequential(nn.Linear(30, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    stopper = EarlyStopping(patience=12)
    for epoch in range(100):
        model.train()
        for rows in torch.randperm(len(train[0])).split(32):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(train[0][rows]), train[1][rows])
            loss.backward()
            optimizer.step()
        val_loss = evaluate(model, *val)
        if epoch % 4 == 0:
            print(f"epoch {epoch:3d} train {evaluate(model, *train):.4f} val {val_loss:.4f}")
        if stopper.update(epoch, val_loss, model):
            print(f"stopped at epoch {epoch}, best was {stopper.best_epoch} with {stopper.best_loss:.4f}")
            break
    stopper.restore(model)
    print(f"val {evaluate(model, *val):.4f}  test {evaluate(model, *test):.4f}")


main()
