"""Time a training step of K models: as a stack, by vmap, by other libraries, and one after the other.

A step is forward, backward and Adam with a learning rate of its own for each member (torchmb: one for all); all see the
same batch. The loop runs the members' own modules one after the other, each with torch's fused Adam. All on one thread,
taking turns, so that what disturbs a round disturbs all; the ratio is taken round by round. A library that is not
installed is left out; one that cannot take the model is told with its reason.

Goals on a CPU: a small MLP at K = 32 at least 5 times as fast as the loop, an MLP 784-128 about 2 times. Convolutions
are expected near 1.

Run: python benchmarks/population_layers.py [--sizes 1 8 32 128] [--models ...] [--seconds 20] [--device cpu]
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from harness import ratio, save, show, spread, summary
from population_peers import installed
from torch import Tensor, nn

from mlkit.engine.optimizers import make_optimizer
from mlkit.metrics.losses import CrossEntropy
from mlkit.models import lenet, lstm, resnet20
from mlkit.population.stacked.errors import CannotStackError
from mlkit.population.stacked.kernels import choose_kernels
from mlkit.population.stacked.losses import member_losses
from mlkit.population.stacked.optimizers import StackedOptimizer
from mlkit.population.stacked.settings import OptimizerSettings
from mlkit.population.stacked.stack import Stack
from mlkit.population.stacked.vmapped import VmapStack
from mlkit.runtime.allocator import keep_freed_memory

BATCH = 32
CLASSES = 10
SIZES = (1, 8, 32, 128, 512)
LOSS = CrossEntropy(CLASSES)
GOALS = {("mlp 20-64-64", 32): 5.0, ("mlp 784-128", 32): 2.0}


class Case(NamedTuple):
    """A model and the shape of an example."""

    make: Callable[[int], nn.Module]
    shape: tuple[int, ...]


def dense(*widths: int) -> Callable[[int], nn.Module]:
    """A network of plain layers, which every library here can take."""

    def make(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        layers = [layer for pair in pairwise((*widths, CLASSES)) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return make


CASES: dict[str, Case] = {
    "mlp 20-64-64": Case(dense(20, 64, 64), (20,)),
    "mlp 784-128": Case(dense(784, 128), (784,)),
    "lenet 28x28": Case(lambda seed: lenet(CLASSES, seed=seed), (1, 28, 28)),
    "resnet20 8x8": Case(lambda seed: resnet20(CLASSES, in_channels=1, seed=seed), (1, 8, 8)),
    "lstm h=8 T=10": Case(lambda seed: lstm(8, CLASSES, hidden=8, seed=seed), (10, 8)),
    "lstm h=32 T=20": Case(lambda seed: lstm(8, CLASSES, hidden=32, seed=seed), (20, 8)),
    "lstm h=128 T=20": Case(lambda seed: lstm(8, CLASSES, hidden=128, seed=seed), (20, 8)),
}

Step = Callable[[], None]
WAYS = ("stack", "vmap", *installed())


def learning_rates(size: int) -> list[float]:
    return [1e-4 * (1 + k) for k in range(size)]


def loop(models: Sequence[nn.Module], x: Tensor, y: Tensor) -> Step:
    members = [copy.deepcopy(model) for model in models]
    optimizers = [
        make_optimizer(m, name="adam", lr=lr) for m, lr in zip(members, learning_rates(len(members)), strict=True)
    ]

    def step() -> None:
        for model, optimizer in zip(members, optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            LOSS(model(x), y).backward()
            optimizer.step()

    return step


def stacked(stack: Stack | VmapStack, x: Tensor, y: Tensor) -> Step:
    settings = [OptimizerSettings(lr=lr) for lr in learning_rates(stack.size)]
    optimizer = StackedOptimizer(stack, settings)
    active, factors = torch.ones(stack.size, dtype=torch.bool), torch.ones(stack.size)
    count = iter(range(10**9))

    def step() -> None:
        stack.set_step(next(count))
        losses = member_losses(LOSS, stack.forward((x,), shared=True), y, own_targets=False)
        optimizer.step(stack.gradients(losses), factors=factors, active=active)

    return step


def steps_of(case: Case, size: int, device: str) -> tuple[dict[str, Step], dict[str, Any]]:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, *case.shape, generator=stream).to(device)
    y = torch.randint(0, CLASSES, (BATCH,), generator=stream).to(device)
    models = [case.make(seed).to(device) for seed in range(size)]
    stack = Stack.of(models, keys=range(size))
    kernels = {choice.layer: choice.kernel for choice in choose_kernels(stack, (x,), shared=True)}
    steps = {"loop": loop(models, x, y), "stack": stacked(stack, x, y)}
    try:
        vmapped = VmapStack.of(models, keys=range(size))
        vmapped.forward((x,), shared=True)
        steps["vmap"] = stacked(vmapped, x, y)
    except CannotStackError:
        pass
    refused = {}
    for name, make in installed().items():
        try:
            peer = make(models, learning_rates(size))
            peer.step(x, y)
            steps[name] = partial(peer.step, x, y)
        except Exception as error:  # whatever the library says; it is told
            refused[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
    return steps, {"kernels": sorted(set(kernels.values())), "refused": refused}


def measure(steps: dict[str, Step], *, seconds: float, device: str) -> dict[str, list[float]]:
    """Seconds a step by each way, round by round; a visit makes as many steps as take about 20 ms."""
    repeats: dict[str, int] = {}
    for name, step in steps.items():
        step()
        repeats[name] = max(1, int(0.02 / timed(step, 2, device)))
    found: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found["loop"]) < 5:
        for name, step in steps.items():
            found[name].append(timed(step, repeats[name], device))
    return found


def timed(step: Step, repeats: int, device: str) -> float:
    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    wait()
    begin = time.perf_counter()
    for _ in range(repeats):
        step()
    wait()
    return (time.perf_counter() - begin) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring, for each model and K")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dry", action="store_true", help="write no result file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as training does: a stack's large gradients would otherwise be mapped anew at every step
    rows = []
    for model in arguments.models:
        for size in arguments.sizes:
            steps, notes = steps_of(CASES[model], size, arguments.device)
            seconds = measure(steps, seconds=arguments.seconds, device=arguments.device)
            speed_ups = {name: ratio(seconds["loop"], seconds[name]) for name in steps if name != "loop"}
            figures = {
                "model": model,
                "members": size,
                "batch": BATCH,
                "milliseconds": {name: summary([1e3 * s for s in values]) for name, values in seconds.items()},
                "speed_up": speed_ups,
                "goal": GOALS.get((model, size)),
                **notes,
            }
            if not arguments.dry:
                save("population_layers", f"{arguments.device}: {model}, K={size}", figures)
            per_step = figures["milliseconds"]
            middle = [f"{per_step[name]['median']:.2f}" for name in ("loop", "stack")]
            others = [spread(speed_ups[name]) if name in speed_ups else "refused" for name in WAYS]
            rows.append([model, str(size), *middle, *others])
            print("  ".join(rows[-1]), flush=True)
    head = ["model", "K", "loop ms", "stack ms", *WAYS]
    show("a training step: times as fast as the loop (median [quartiles])", head, rows)


if __name__ == "__main__":
    main()
