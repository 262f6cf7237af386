"""Lightning; "lean" turns off what it does beside the work: logger, checkpoints, bar, summary."""

import sys

import lightning
import torch
from task import EPOCHS, LEARNING_RATE, lenet, loaders, report
from torch.nn import functional as F


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = lenet()

    def training_step(self, batch):
        x, y = batch
        return F.cross_entropy(self.model(x), y)

    def test_step(self, batch):
        x, y = batch
        self.log("accuracy", (self.model(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)


train, test = loaders(sys.argv[1])
torch.manual_seed(0)
module = Module()
beside = ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"]
off = dict.fromkeys(beside, False) if sys.argv[2] == "lean" else {}
trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", default_root_dir=sys.argv[3], **off)
trainer.fit(module, train)
[found] = trainer.test(module, test, verbose=False)
print()
report(found["accuracy"], steps=trainer.global_step, model=module)
