"""Lightning: encoder and classifier for digits, trained with one Adam."""
# case: O03
# codes: step.parameter-not-optimised
# needs: lightning
# split: held-out

import logging
import tempfile
import warnings

import lightning as L
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class DigitsData(L.LightningDataModule):
    def setup(self, stage):
        x, y = load_digits(return_X_y=True)
        x = (torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) - 4.9) / 6.0
        split = torch.Generator().manual_seed(SEED)
        self.train_set, self.val_set = random_split(TensorDataset(x, torch.tensor(y)), [1397, 400], generator=split)

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=64, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val_set, batch_size=200)


class DigitsModule(L.LightningModule):
    def __init__(self, lr=3e-3):
        super().__init__()
        self.lr = lr
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        )
        self.classifier = nn.Linear(128, 10)

    def forward(self, x):
        return self.classifier(self.encoder(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        if batch_idx % 10 == 0:
            print(f"epoch {self.current_epoch} batch {batch_idx} loss {loss.item():.4f}")
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.log("val_loss", F.cross_entropy(logits, y))
        self.log("val_acc", (logits.argmax(1) == y).float().mean())

    def on_validation_epoch_end(self):
        metrics = self.trainer.callback_metrics
        print("validation", {name: round(value.item(), 4) for name, value in metrics.items()})

    def configure_optimizers(self):
        return torch.optim.Adam(self.classifier.parameters(), lr=self.lr)  #! return torch.optim.Adam(self.parameters(), lr=self.lr)


L.seed_everything(SEED, verbose=False)
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
    trainer.fit(DigitsModule(), datamodule=DigitsData())
