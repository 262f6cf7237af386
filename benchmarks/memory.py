"""Memory of a training step: predicted before it is made, beside what it took; and the largest batch that was found.

    python benchmarks/memory.py            five models at three batch sizes; writes the result file
    python benchmarks/memory.py lenet      some of them; nothing is written

The prediction sees the step with fake tensors, and kernels measured on two small batches. What a step took is the most
resident memory of a process beyond what it had before, with freed blocks given back to the system at once; beside it
stands the same with the allocator as it is by default, which keeps some of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torchvision
from torch import nn

from benchmarks.harness import circumstances, save
from mlkit import models
from mlkit.debug.memory import estimate_memory, largest_batch
from mlkit.debug.memory.measured import measured_peak
from mlkit.debug.memory.simulate import Parts
from mlkit.debug.overfit.run import prepared

MIB = 2**20
CASES: dict[str, tuple[Any, tuple[int, ...], tuple[int, int, int], int]] = {
    "lenet": (lambda: models.lenet(num_classes=10), (1, 28, 28), (256, 1024, 4096), 200),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), (3, 64, 64), (16, 64, 128), 400),
    "resnet50": (lambda: torchvision.models.resnet50(num_classes=10), (3, 64, 64), (8, 32, 64), 700),
    "lstm": (lambda: models.lstm(16, 10, hidden=128), (50, 16), (128, 512, 1024), 200),
    "mlp": (lambda: models.mlp(784, 10, hidden=(1024, 1024)), (784,), (512, 2048, 8192), 100),
}


def case(name: str) -> dict[str, Any]:
    """Prediction and measurement of one model."""
    make, shape, sizes, budget = CASES[name]
    torch.manual_seed(0)
    model: nn.Module = make()
    batch = (torch.randn(16, *shape), torch.randint(10, (16,)))
    rows = []
    for size in sizes:
        begin = time.perf_counter()
        estimate = estimate_memory(model, batch, batch_size=size)
        spent = time.perf_counter() - begin
        setup = prepared(model, batch, None, None, seed=0)
        parts = Parts(setup.model, setup.optimizer, setup.loss_fn, setup.batch)
        took, usual = measured_peak(parts, size, steps=3).peak, measured_peak(parts, size, steps=3, trims=False).peak
        assert took is not None
        assert usual is not None
        rows.append(
            {
                "batch": size,
                "predicted_mib": round(estimate.peak / MIB, 1),
                "tensors_only_mib": round((estimate.peak - estimate.kernels) / MIB, 1),
                "measured_mib": round(took / MIB, 1),
                "default_allocator_mib": round(usual / MIB, 1),
                "ratio": round(estimate.peak / took, 3),
                "seconds_to_predict": round(spent, 1),
            }
        )
        print(name, rows[-1], flush=True)
    begin = time.perf_counter()
    found = largest_batch(model, batch, budget=budget * MIB)
    largest = {"budget_mib": budget, "size": found.size, "next": found.next, "attempts": len(found.attempts)}
    largest["seconds"] = round(time.perf_counter() - begin, 1)
    print(name, largest, flush=True)
    return {"steps": rows, "largest_batch": largest}


def main() -> None:
    """Run the cases named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*CASES, []])
    names = parser.parse_args().names
    torch.set_num_threads(1)
    found = {name: case(name) for name in names or CASES}
    if not names:
        for name, figures in found.items():
            save("memory", name, {**circumstances(), **figures})


if __name__ == "__main__":
    main()
