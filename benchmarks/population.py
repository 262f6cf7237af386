"""Time 64 configurations of a small network one by one and as one population, and what halving adds.

Claim: on one thread, 64 MLPs 64-64-64-10 with random learning rates and weight decays, 27 epochs of scikit-learn's
digits, take at most a third of the time as a population, and at most an eighth with successive halving. The runs one
by one are `mlkit.engine.fit` (which also judges a sample of its training data after each epoch), the population's own
loop (which does not), and a loop by hand in plain PyTorch with fused Adam, gathered batches and the same evaluations.
A second table holds what the probe chooses for other models against the loop (`--models`).

Run: python benchmarks/population.py [--rounds 3] [--models]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from harness import ratio, save, show, spread, summary
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit import models
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import TensorSplit
from mlkit.engine import fit
from mlkit.population import Member, PopulationResult, halving, train_many
from mlkit.population.member import make_member_optimizer
from mlkit.population.rungs import rank_correlation
from mlkit.runtime.threads import threads
from mlkit.task import Task

SIZE, EPOCHS, BATCH = 64, 27, 32
RUNGS = (3, 9)


def digits() -> DataBundle:
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = torch.tensor(found.data / 16).float(), torch.tensor(found.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, val = order[360:], order[:360]
    task = Task("classification", "vector", (64,), num_outputs=10)
    return DataBundle("digits", task, TensorSplit((x[train],), y[train]), TensorSplit((x[val],), y[val]))


def configurations(*, shared: bool) -> list[Member]:
    stream = torch.Generator().manual_seed(1)
    members = []
    for seed in range(SIZE):
        lr, decay = (10 ** float(torch.empty(()).uniform_(*ends, generator=stream)) for ends in ((-4, -1.5), (-6, -2)))
        members.append(Member(seed=seed, lr=lr, weight_decay=decay, data_seed=0 if shared else None))
    return members


def make_model(member: Member) -> nn.Module:
    return models.mlp(64, 10, hidden=(64, 64), seed=member.seed)


def one_by_one(data: DataBundle, members: list[Member]) -> list[float]:
    losses = []
    for member in members:
        model = make_model(member)
        seed = member.order_seed
        found = fit(
            model,
            data,
            optimizer=make_member_optimizer(member, model),
            max_epochs=EPOCHS,
            batch_size=BATCH,
            seed=seed,
            device="cpu",
        )
        losses.append(found.metrics["val"]["loss"].value)
    return losses


def by_hand(data: DataBundle, members: list[Member]) -> list[float]:
    (x,), y = data.train.inputs, data.train.targets  # type: ignore[attr-defined]
    (v,), w = data.val.inputs, data.val.targets  # type: ignore[attr-defined]
    losses = []
    for member in members:
        model = make_model(member)
        decayed = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": member.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.Adam(groups, lr=member.lr, fused=True)
        stream = torch.Generator().manual_seed(member.order_seed)
        loss_on_val = math.nan
        for _ in range(EPOCHS):
            for index in torch.randperm(len(x), generator=stream).split(BATCH):
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(model(x.index_select(0, index)), y.index_select(0, index)).backward()
                optimizer.step()
            with torch.no_grad():
                loss_on_val = float(F.cross_entropy(model(v), w))
        losses.append(loss_on_val)
    return losses


def population(data: DataBundle, members: list[Member], **settings: Any) -> PopulationResult:
    return train_many(make_model, members, data, max_epochs=EPOCHS, batch_size=BATCH, device="cpu", **settings)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


def measure(rounds: int) -> None:
    data, members, own = digits(), configurations(shared=True), configurations(shared=False)
    keep = halving(RUNGS, eta=3)
    ways: dict[str, Callable[[], Any]] = {
        "one by one, fit": lambda: one_by_one(data, members),
        "one by one, by hand": lambda: by_hand(data, members),
        "loop": lambda: population(data, members, backend="loop"),
        "population": lambda: population(data, members),
        "population, own batches": lambda: population(data, own),
        "population, halving": lambda: population(data, members, keep=keep),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name, work in ways.items():
            wall, found[name] = timed(work)
            seconds[name].append(wall)
    reference = seconds["one by one, by hand"]
    rows = [[name, spread(summary(values), 2), spread(ratio(reference, values), 2)] for name, values in seconds.items()]
    show(f"{SIZE} configurations, {EPOCHS} epochs, one thread", ["way", "seconds", "times as fast as by hand"], rows)
    equality = agreement(found["one by one, fit"], found["population"])
    print("\npopulation against fit:", equality)
    regret = quality(found["population"], found["population, halving"])
    print("halving:", regret)
    save(
        "population",
        "digits",
        {
            "rounds": rounds,
            "seconds": {name: summary(values) for name, values in seconds.items()},
            "times_as_fast_as_by_hand": {name: ratio(reference, values) for name, values in seconds.items()},
            "against_fit": equality,
            "halving": regret,
            "speed": [
                {name: value for name, value in each.items() if name != "members"} for each in found["population"].speed
            ],
        },
    )


def agreement(losses: list[float], results: PopulationResult) -> dict[str, Any]:
    """Final validation losses of the population against those of `fit`, in float32."""
    off = [abs(loss - each.value("val/loss")) / loss for loss, each in zip(losses, results, strict=True)]
    calm = [difference for difference, each in zip(off, results, strict=True) if each.member.lr < 3e-3]
    return {
        "members": len(off),
        "within a thousandth": sum(difference < 1e-3 for difference in off),
        "largest difference where lr < 0.003": max(calm),
        "median difference": statistics.median(off),
        "rank correlation": rank_correlation(losses, [each.value("val/loss") for each in results]),
    }


def quality(whole: PopulationResult, halved: PopulationResult) -> dict[str, Any]:
    """What halving costs in quality, for this one draw of configurations."""
    losses = sorted(each.value("val/loss") for each in whole)
    chosen = whole[halved.best().index].value("val/loss")
    return {
        "rungs": RUNGS,
        "member_epochs": sum(each.epochs for each in halved),
        "of": sum(each.epochs for each in whole),
        "rank of its winner": sum(loss < chosen for loss in losses),
        "regret of loss": chosen - losses[0],
        "rank_correlation_of_rungs": [rung["rank_correlation"] for rung in halved.rungs],
    }


def cases() -> dict[str, tuple[Callable[[Member], nn.Module], Tensor, int, int]]:
    """Model, inputs, members and epochs: about as long as a small search round, so that the probe is in it."""
    stream = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=stream)

    return {
        "MLP 20-64-64-10, K=32": (
            lambda m: models.mlp(20, 10, hidden=(64, 64), seed=m.seed),
            draw(1024, 20),
            32,
            10,
        ),
        "MLP 784-128-10, K=16": (lambda m: models.mlp(784, 10, hidden=(128,), seed=m.seed), draw(1024, 784), 16, 10),
        "LeNet 28x28, K=8": (lambda m: models.lenet(10, seed=m.seed), draw(512, 1, 28, 28), 8, 6),
        "ResNet-20 16x16, K=4": (lambda m: models.resnet20(10, seed=m.seed), draw(256, 3, 16, 16), 4, 3),
        "LSTM h=8 T=10, K=32": (lambda m: models.lstm(6, 10, hidden=8, seed=m.seed), draw(512, 10, 6), 32, 8),
        "LSTM h=32 T=20, K=8": (lambda m: models.lstm(6, 10, hidden=32, seed=m.seed), draw(512, 20, 6), 8, 8),
    }


def measure_models(rounds: int) -> None:
    rows, kept = [], {}
    for name, (make, x, size, epochs) in cases().items():
        y = torch.arange(len(x)) % 10
        members = [Member(seed=k, lr=1e-3, weight_decay=1e-5 * k, data_seed=0) for k in range(size)]
        times: dict[str, list[float]] = {"loop": [], "auto": []}
        chosen = []
        for _ in range(rounds):
            for way in times:
                work = lambda: train_many(make, members, (x, y), max_epochs=epochs, backend=way, device="cpu")  # noqa: B023, E731
                wall, found = timed(work)
                times[way].append(wall)
            chosen.append(found.speed[0]["backend"])
        gain = ratio(times["loop"], times["auto"])
        kept[name] = {
            "chosen": chosen,
            "seconds": {way: summary(values) for way, values in times.items()},
            "times_as_fast": gain,
            "reason": found.speed[0]["reason"],
        }
        rows.append([name, ", ".join(sorted(set(chosen))), spread(summary(times["loop"])), spread(gain)])
    show("what the probe chooses, its own time included", ["model", "chosen", "loop, s", "times as fast"], rows)
    save("population", "models", {"rounds": rounds, "cases": kept})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", action="store_true", help="only the second table")
    options = parser.parse_args()
    with threads(1):
        (measure_models if options.models else measure)(options.rounds)


if __name__ == "__main__":
    main()
