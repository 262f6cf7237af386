"""Trains ResNet-18 for some steps, as `resnet_step.py` asks, and prints the seconds of each step as JSON.

Arguments: "mlkit", "plain" or "lightning"; steps; threads, or 0 for PyTorch's own number; for mlkit a recorded `Speed`
as JSON. With "probe" it prints the `Speed` that mlkit chooses, and how many seconds that took.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.splits import Batch
from mlkit.engine.fit import fit
from mlkit.engine.hooks import Hook
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.speed import Speed, choose_speed
from mlkit.models import resnet18

BATCH = 64
LEARNING_RATE = 3e-4
RUN_STEPS = 10 * 50_000 // BATCH  # the run that the speed is chosen for: ten epochs of CIFAR-10


def data(steps: int) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    count = BATCH * steps
    return torch.randn(count, 3, 32, 32, generator=stream), torch.randint(0, 10, (count,), generator=stream)


def resnet() -> nn.Module:
    return resnet18(num_classes=10, image_size=32, seed=0)


def probe(threads: int) -> dict[str, object]:
    """What mlkit chooses with ``threads`` at most; 0: as many as there are cores."""
    x, y = data(1)
    begin = time.perf_counter()
    speed = choose_speed(
        resnet(),
        Batch((x,), y),
        loss_fn=F.cross_entropy,
        make_optimizer=lambda model: make_optimizer(model, lr=LEARNING_RATE),
        device=torch.device("cpu"),
        expected_steps=RUN_STEPS,
        cores=threads or None,
    )
    return {"speed": speed.to_dict(), "seconds": time.perf_counter() - begin}


def with_mlkit(steps: int, speed: Speed) -> list[float]:
    class Clock(Hook):
        def on_epoch_start(self, state: object) -> None:
            self.times = [time.perf_counter()]

        def on_step_end(self, state: object, loss: Tensor) -> None:
            self.times.append(time.perf_counter())

    clock = Clock()
    fit(resnet(), data(steps), batch_size=BATCH, max_epochs=1, metrics=[], speed=speed, hooks=[clock])
    return differences(clock.times)


def plain(steps: int) -> list[float]:
    model, (x, y) = resnet(), data(steps)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    times = [time.perf_counter()]
    for number in range(steps):
        part = slice(BATCH * number, BATCH * (number + 1))
        optimizer.zero_grad()
        F.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()
        times.append(time.perf_counter())
    return differences(times)


def with_lightning(steps: int) -> list[float]:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = resnet()

        def training_step(self, batch: list[Tensor]) -> Tensor:
            inputs, targets = batch
            return F.cross_entropy(self.model(inputs), targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    class Clock(lightning.Callback):
        def on_train_epoch_start(self, *parts: object) -> None:
            self.times = [time.perf_counter()]

        def on_train_batch_end(self, *parts: object) -> None:
            self.times.append(time.perf_counter())

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    clock = Clock()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data(steps)), batch_size=BATCH, shuffle=True)
    beside = ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"]
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[clock], **dict.fromkeys(beside, False))
    trainer.fit(Module(), loader)
    return differences(clock.times)


def differences(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def main(what: str, steps: int, threads: int, speed: str = "{}") -> object:
    if threads:
        torch.set_num_threads(threads)
    if what == "probe":
        return probe(threads)
    if what == "mlkit":
        return with_mlkit(steps, Speed.from_dict(json.loads(speed)))
    return plain(steps) if what == "plain" else with_lightning(steps)


if __name__ == "__main__":
    print("\n" + json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])))
