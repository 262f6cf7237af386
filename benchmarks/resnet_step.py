"""Seconds a training step of ResNet-18 on 32x32 images: what speed="auto" finds, against Lightning's defaults.

Claim: at least twice as fast as Lightning's default (float32) on a CPU with bfloat16 instructions. The same model
(`mlkit.models.resnet18`, 10 classes, batch 64, Adam, random images) is trained by mlkit with what speed="auto" chooses
for a run of ten epochs on 50,000 images, by a plain PyTorch loop, and by Lightning with its default precision. Each
trains in a process of its own, since memory settings hold for a whole process, and they take turns; the first steps
are not counted. What choosing takes is in the result file.

Run: python benchmarks/resnet_step.py [--rounds 5] [--threads 1]
Without --threads the peers use PyTorch's own number and speed="auto" chooses one; with it, it is the most for all.
"""

from __future__ import annotations

import argparse
import json
import sys
from statistics import median
from typing import Any

import torch
from harness import PROGRAMS, is_installed, ratio, run_child, save, show, spread, summary

from mlkit.engine.speed_settings import in_threads

WARM = 3
TARGET = 2.0
LIGHTNING = "Lightning, defaults"
AUTO = 'mlkit, speed="auto"'
WHAT = {AUTO: "mlkit", "plain PyTorch": "plain", LIGHTNING: "lightning"}


def program(what: str, steps: int, threads: int | None, *more: str) -> Any:
    """What `programs/resnet.py` prints."""
    command = [sys.executable, str(PROGRAMS / "resnet.py"), what, str(steps), str(threads or 0), *more]
    return json.loads(run_child(command, threads=threads).output.strip().split("\n")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=9, help=f"of a process, the first {WARM} not counted")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    chosen = program("probe", 0, options.threads)
    threads = options.threads or torch.get_num_threads()
    print(f"{chosen['speed']['reason']}; chosen in {chosen['seconds']:.1f} s; all others: {in_threads(threads)}")
    names = [name for name in WHAT if name != LIGHTNING or is_installed("lightning")]
    if LIGHTNING not in names:
        print("Lightning is not installed")
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.rounds):
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            more = [json.dumps(chosen["speed"])] if name == AUTO else []
            found[name].append(median(program(WHAT[name], options.steps, options.threads, *more)[WARM:]))
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
    about = {"rounds": options.rounds, "threads": threads, "probe_seconds": chosen["seconds"], "target": TARGET}
    key = "default threads" if options.threads is None else in_threads(threads)
    save("resnet_step", key, {**about, "speed": chosen["speed"], "rows": rows})


if __name__ == "__main__":
    main()
