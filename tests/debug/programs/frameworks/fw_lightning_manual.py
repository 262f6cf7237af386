"""Lightning with manual optimisation: a regression network with its own update rule in the training step."""
# case: O01
# codes: step.gradients-not-cleared
# needs: lightning
# split: held-out

import logging
import tempfile
import warnings

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class Regressor(L.LightningModule):
    def __init__(self, d_in, hidden):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Sequential(nn.Linear(d_in, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.val_errors = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        loss = nn.functional.mse_loss(self.net(x), y)
        #+ optimizer.zero_grad()
        self.manual_backward(loss)  #@
        self.clip_gradients(optimizer, gradient_clip_val=5.0, gradient_clip_algorithm="norm")
        optimizer.step()  #@
        if self.global_step % 25 == 0:
            print(f"step {self.global_step} loss {loss.item():.4f}")

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_errors.append((self.net(x) - y).square().mean())

    def on_validation_epoch_end(self):
        print(f"epoch {self.current_epoch} validation mse {torch.stack(self.val_errors).mean().item():.4f}")
        self.val_errors.clear()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def main():
    L.seed_everything(SEED, verbose=False)
    x = torch.randn(2000, 10)
    w = torch.randn(10, 2) / 10**0.5
    y = torch.tanh(x @ w).sum(1, keepdim=True) + 0.05 * torch.randn(2000, 1)
    train = DataLoader(TensorDataset(x[:1600], y[:1600]), batch_size=40, shuffle=True)
    valid = DataLoader(TensorDataset(x[1600:], y[1600:]), batch_size=100)
    print(f"variance of the validation target {y[1600:].var().item():.4f}")
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_epochs=5,
            accelerator="cpu",
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(Regressor(10, 64), train, valid)


if __name__ == "__main__":
    main()
