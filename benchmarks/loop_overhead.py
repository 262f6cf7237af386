"""Time a step of mlkit's loop against the same loop written by hand in plain PyTorch, and against other libraries.

Claim: at most 5 % over the loop by hand, for an MLP 784-128-10 at batch 32, where a step is almost nothing but
overhead. All loops gather their batches by index from the same resident tensors; the loop by hand uses the same fused
Adam and reads no loss. Loops take turns in one process, on one thread; the seconds are the process's own processor
time, so that neighbours hardly count (wall time is in the result file). Evaluation and checkpoints are left out.

Run: python benchmarks/loop_overhead.py [--rounds 40] [--no-peers]
"""

from __future__ import annotations

import argparse
import logging
import random
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from harness import is_installed, ratio, save, show, spread, summary
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import TensorSplit
from mlkit.engine.hooks import Hook
from mlkit.engine.interruption import stop_after_step
from mlkit.engine.loop import Plan, train
from mlkit.engine.optimizers import make_optimizer
from mlkit.engine.state import TrainState
from mlkit.engine.step import supervised
from mlkit.metrics.losses import loss_for
from mlkit.task import Task

BATCH = 32
STEPS = 300  # of a visit: about 30 ms, short beside the changes in the machine's load
EXAMPLES = BATCH * STEPS
LEARNING_RATE = 3e-4
TARGET = 1.05
BY_HAND = "by hand"


class Seconds(NamedTuple):
    """A point in time, or a difference of two."""

    wall: float
    cpu: float

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall - other.wall, self.cpu - other.cpu)


Visit = Callable[[], Seconds | object]  # makes STEPS steps; may time them itself


def now() -> Seconds:
    return Seconds(time.perf_counter(), time.process_time())


def data() -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return torch.randn(EXAMPLES, 784, generator=stream), torch.randint(0, 10, (EXAMPLES,), generator=stream)


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def by_hand(x: Tensor, y: Tensor, *, reads_loss: bool = False) -> Visit:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)

    def visit() -> None:
        model.train()
        total = 0.0
        order = torch.randperm(len(x))
        for begin in range(0, len(x), BATCH):
            index = order[begin : begin + BATCH]
            inputs, targets = x.index_select(0, index), y.index_select(0, index)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            if reads_loss:
                total += loss.item() * len(targets)

    return visit


class Counter(Hook):
    """A hook that looks on at all three moments of a step, and does next to nothing there."""

    def __init__(self) -> None:
        self.seen = 0

    def on_step_start(self, state: TrainState, batch: object) -> None:
        self.seen += 1

    def on_gradients(self, state: TrainState) -> None:
        self.seen += 1

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self.seen += 1


def with_mlkit(x: Tensor, y: Tensor, hooks: tuple[Hook, ...] = ()) -> Visit:
    """What `mlkit.engine.fit` puts together, without evaluation: one more epoch each time."""
    model = mlp()
    state = TrainState(model, make_optimizer(model, lr=LEARNING_RATE))
    loss = loss_for(Task("classification", "vector", (784,), num_outputs=10))
    batches = SplitBatches(TensorSplit((x,), y), BATCH, shuffle=True)

    def visit() -> None:
        with stop_after_step(state):
            train(state, Plan(batches, supervised(loss), max_epochs=state.epoch + 1), hooks=hooks)

    return visit


class Gathered:
    """The same batches for libraries that take any iterable."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x) // BATCH

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x))
        for begin in range(0, len(self.x), BATCH):
            index = order[begin : begin + BATCH]
            yield self.x.index_select(0, index), self.y.index_select(0, index)


def with_ignite(x: Tensor, y: Tensor) -> Visit:
    from ignite.engine import create_supervised_trainer

    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    trainer = create_supervised_trainer(model, optimizer, F.cross_entropy)
    batches = Gathered(x, y)
    return lambda: trainer.run(batches, max_epochs=1, epoch_length=STEPS)


def with_accelerate(x: Tensor, y: Tensor) -> Visit:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = mlp()
    model, optimizer = accelerator.prepare(model, torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True))
    batches = Gathered(x, y)

    def visit() -> None:
        model.train()
        for inputs, targets in batches:
            with accelerator.accumulate(model):
                optimizer.zero_grad()
                accelerator.backward(F.cross_entropy(model(inputs), targets))
                optimizer.step()

    return visit


def with_skorch(x: Tensor, y: Tensor) -> Visit:
    from skorch import NeuralNetClassifier

    batches = Gathered(x, y)
    net = NeuralNetClassifier(
        mlp,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__lr=LEARNING_RATE,
        optimizer__fused=True,
        iterator_train=lambda dataset, **settings: batches,
        max_epochs=1,
        train_split=None,
        verbose=0,
    ).initialize()
    return lambda: net.partial_fit(x, y)


def with_lightning(x: Tensor, y: Tensor) -> Visit:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = mlp()

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            inputs, targets = batch
            return F.cross_entropy(self.model(inputs), targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE, fused=True)

    class Clock(lightning.Callback):
        """Times the epoch alone: `Trainer.fit` has a start of its own."""

        def on_train_epoch_start(self, *parts: object) -> None:
            self.begin = now()

        def on_train_epoch_end(self, *parts: object) -> None:
            self.end = now()

    module, batches, clock = Module(), Gathered(x, y), Clock()
    off = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def visit() -> Seconds:
        lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[clock], **off).fit(module, batches)
        return clock.end - clock.begin

    return visit


PEERS: dict[str, tuple[str, Callable[[Tensor, Tensor], Visit]]] = {
    "ignite": ("pytorch-ignite", with_ignite),
    "skorch": ("skorch", with_skorch),
    "accelerate": ("accelerate", with_accelerate),
    "Lightning": ("lightning", with_lightning),
}


def loops(*, peers: bool) -> dict[str, Visit]:
    x, y = data()
    made = {
        BY_HAND: by_hand(x, y),
        "by hand, loss read": by_hand(x, y, reads_loss=True),
        "mlkit": with_mlkit(x, y),
        "mlkit, 5 hooks": with_mlkit(x, y, tuple(Counter() for _ in range(5))),
    }
    for name, (package, make) in PEERS.items() if peers else ():
        if is_installed(package):
            made[name] = make(x, y)
        else:
            print(f"{name} is not installed")
    return made


def measure(visits: dict[str, Visit], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds of a step, round by round, each in another order, so that none always follows the same one."""
    found: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in visits}
    orders = random.Random(0)
    for number in range(-2, rounds):  # two rounds to warm up
        for name in orders.sample(list(visits), len(visits)):
            begin = now()
            timed = visits[name]()
            seconds = timed if isinstance(timed, Seconds) else now() - begin
            if number >= 0:
                found[name]["cpu"].append(1e6 * seconds.cpu / STEPS)
                found[name]["wall"].append(1e6 * seconds.wall / STEPS)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = measure(loops(peers=not options.no_peers), options.rounds)
    figures: dict[str, Any] = {
        name: {
            "cpu_microseconds": summary(values["cpu"]),
            "wall_microseconds": summary(values["wall"]),
            "ratio": ratio(values["cpu"], found[BY_HAND]["cpu"]),
            "wall_ratio": ratio(values["wall"], found[BY_HAND]["wall"]),
        }
        for name, values in found.items()
    }
    show(
        f"a step of an MLP 784-128-10, batch {BATCH}, one thread, median of {options.rounds} rounds [quartiles]",
        ["", "CPU µs a step", "ratio to by hand", "ratio of wall time"],
        [
            [name, spread(row["cpu_microseconds"], 1), spread(row["ratio"], 3), spread(row["wall_ratio"], 3)]
            for name, row in figures.items()
        ],
    )
    reached = figures["mlkit"]["ratio"]["median"]
    print(f"\nmlkit: {reached:.3f}, target at most {TARGET}: {'reached' if reached <= TARGET else 'missed'}")
    save(
        "loop_overhead", "loop_overhead", {"rounds": options.rounds, "steps": STEPS, "target": TARGET, "rows": figures}
    )


if __name__ == "__main__":
    main()
