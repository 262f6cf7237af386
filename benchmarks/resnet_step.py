"""Seconds a training step of ResNet-18 on 32x32 images: what speed="auto" finds, against Lightning's defaults.

Claim: at least twice as fast as Lightning's default (float32) on a CPU with bfloat16 instructions. The same model
(`mlkit.models.resnet18`, 10 classes, batch 64, Adam, random images) is trained by mlkit with speed="auto", by
a plain PyTorch loop and by Lightning with its default precision. They take turns in one process; a visit is some steps,
of which the first two are not counted. What measuring the speed took is in the result file.

Run: python benchmarks/resnet_step.py [--rounds 5] [--threads 1]
Without --threads all start from PyTorch's own number; speed="auto" may choose another.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from harness import is_installed, ratio, save, show, spread, summary
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit import models
from mlkit.data.splits import Batch
from mlkit.engine.fit import fit
from mlkit.engine.hooks import Hook
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.speed import Speed, choose_speed

BATCH = 64
WARM = 2
TARGET = 2.0
LEARNING_RATE = 3e-4
LIGHTNING = "Lightning, defaults"
PLAIN = "plain PyTorch"
AUTO = 'mlkit, speed="auto"'

Visit = Callable[[int], list[float]]  # seconds of each of so many steps


def data(batches: int = 8) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    count = BATCH * batches
    return torch.randn(count, 3, 32, 32, generator=stream), torch.randint(0, 10, (count,), generator=stream)


def resnet() -> nn.Module:
    return models.resnet18(num_classes=10, image_size=32, seed=0)


class Clock(Hook):
    """Seconds of each step of mlkit, gathering the batch included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_start(self, state: object) -> None:
        self.last = time.perf_counter()

    def on_step_end(self, state: object, loss: Tensor) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def with_mlkit(x: Tensor, y: Tensor, speed: Speed) -> Visit:
    model = resnet()
    optimizer = make_optimizer(model, lr=LEARNING_RATE)

    def visit(steps: int) -> list[float]:
        clock = Clock()
        some = (x[: BATCH * steps], y[: BATCH * steps])
        fit(model, some, optimizer=optimizer, batch_size=BATCH, max_epochs=1, metrics=[], speed=speed, hooks=[clock])
        return clock.seconds

    return visit


def plain(x: Tensor, y: Tensor) -> Visit:
    model = resnet()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def visit(steps: int) -> list[float]:
        model.train()
        times = [time.perf_counter()]
        for number in range(steps):
            part = slice(BATCH * number, BATCH * (number + 1))
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
            times.append(time.perf_counter())
        return [after - before for before, after in pairwise(times)]

    return visit


def with_lightning(x: Tensor, y: Tensor) -> Visit:
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

    class Times(lightning.Callback):
        def on_train_epoch_start(self, *parts: object) -> None:
            self.times = [time.perf_counter()]

        def on_train_batch_end(self, *parts: object) -> None:
            self.times.append(time.perf_counter())

    module, clock = Module(), Times()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    off = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def visit(steps: int) -> list[float]:
        trainer = lightning.Trainer(
            max_epochs=1, limit_train_batches=steps, accelerator="cpu", callbacks=[clock], **off
        )
        trainer.fit(module, loader)
        return [after - before for before, after in pairwise(clock.times)]

    return visit


def chosen_speed(x: Tensor, y: Tensor) -> Speed:
    """What a run of ten epochs on 50,000 images would choose."""
    return choose_speed(
        resnet(),
        Batch((x[:BATCH],), y[:BATCH]),
        loss_fn=F.cross_entropy,
        make_optimizer=lambda model: make_optimizer(model, lr=LEARNING_RATE),
        device=torch.device("cpu"),
        expected_steps=10 * 50_000 // BATCH,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help=f"of a visit, the first {WARM} not counted")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    threads = torch.get_num_threads()
    x, y = data(options.steps)
    begin = time.perf_counter()
    speed = chosen_speed(x, y)
    probe = time.perf_counter() - begin
    print(f"{speed}; measured in {probe:.1f} s; all others: {threads} threads")
    visits: dict[str, Visit] = {AUTO: with_mlkit(x, y, speed), PLAIN: plain(x, y)}
    if is_installed("lightning"):
        visits[LIGHTNING] = with_lightning(x, y)
    else:
        print("Lightning is not installed")
    found: dict[str, list[float]] = {name: [] for name in visits}
    for number in range(options.rounds):
        turn = number % len(visits)
        for name in [*list(visits)[turn:], *list(visits)[:turn]]:
            found[name].append(median(visits[name](options.steps)[WARM:]))
    rows: dict[str, Any] = {
        name: {"seconds": summary(values), "times_faster": ratio(values, found[AUTO])} for name, values in found.items()
    }
    show(
        f"a step of ResNet-18, 64 images of 32x32, median of {options.rounds} rounds [quartiles]",
        ["", "seconds", "mlkit is faster by"],
        [[name, spread(row["seconds"], 3), spread(row["times_faster"])] for name, row in rows.items()],
    )
    if LIGHTNING in rows:
        reached = rows[LIGHTNING]["times_faster"]["median"]
        print(f"\n{reached:.2f} times, target at least {TARGET}: {'reached' if reached >= TARGET else 'missed'}")
    save(
        "resnet_step",
        "default threads" if options.threads is None else f"{threads} threads",
        {
            "rounds": options.rounds,
            "threads": threads,
            "speed": speed.to_dict(),
            "probe_seconds": probe,
            "target": TARGET,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
