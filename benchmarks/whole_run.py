"""Wall time of a whole run, from the start of the process to its end: mlkit and its peers do the same work.

Claim: mlkit is the first of all. The work: LeNet with the same layers, 10,000 images of MNIST, 3 epochs of batches of
64, Adam with learning rate 3e-4, then the accuracy on the 10,000 test images; number of steps and of parameters must be
equal and accuracies close. mlkit does more than that: it watches a validation part and, at the end, judges every split
with intervals; the command also keeps a run folder with checkpoints, TensorBoard events and a picture. What the peers
do beside the work is turned off where they allow it. Each run is a process of its own, and they take turns.

Passes: "one thread" (OMP_NUM_THREADS=1), "default threads" (each library's own number), and "tensors, one thread", in
which the peers are given ready tensors instead of torchvision's data set.

Run: MLKIT_DATA=FOLDER python benchmarks/whole_run.py [--rounds 5] [--passes "one thread"] [--only mlkit]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import PROGRAMS, ChildError, is_installed, ratio, run_child, save, show, spread, summary

FLOOR = "by hand, for speed"
REFERENCE = "plain PyTorch"
CLOSE = 0.05  # accuracies differ by how weights are initialised (He in mlkit), by order and by which images are taken


@dataclass(frozen=True)
class Pass:
    """Circumstances of a comparison.

    Args:
        threads: of each process; None leaves it to the library.
        kind: what the peers are given; see `programs/task.py`.
    """

    threads: int | None
    kind: str

    @property
    def speed(self) -> str:
        """Mlkit's setting: measuring may choose more than the one thread that all were given."""
        return "auto" if self.threads is None else "off"


PASSES = {
    "one thread": Pass(1, "torchvision"),
    "default threads": Pass(None, "torchvision"),
    "tensors, one thread": Pass(1, "tensors"),
}


@dataclass(frozen=True)
class Program:
    """One way to do the work.

    Args:
        arguments: of Python, from the circumstances and a folder of its own.
        package: what must be installed.
        result: a file in the folder that says what came of it; None: the last line of output does.
    """

    arguments: Callable[[Pass, str], list[str]]
    package: str = "torch"
    result: str | None = None


def file(name: str, *extra: str) -> Callable[[Pass, str], list[str]]:
    return lambda where, folder: [str(PROGRAMS / name), where.kind, *extra, folder]


def command(where: Pass, folder: str) -> list[str]:
    settings = ["data=mnist", "data.limit=10000", "model=lenet", "trainer.max_epochs=3", "trainer.batch_size=64"]
    return ["-m", "mlkit.train", *settings, f"trainer.speed={where.speed}", f"hydra.run.dir={folder}/run"]


PROGRAMS_BY_NAME = {
    "mlkit.fit": Program(lambda where, folder: [str(PROGRAMS / "mlkit_fit.py"), where.speed]),
    "python -m mlkit.train": Program(command, result="run/result.json"),
    FLOOR: Program(file("by_hand.py")),
    REFERENCE: Program(file("plain_pytorch.py"), "torchvision"),
    "ignite": Program(file("with_ignite.py"), "pytorch-ignite"),
    "accelerate": Program(file("with_accelerate.py"), "accelerate"),
    "skorch": Program(file("with_skorch.py"), "skorch"),
    "fastai": Program(file("with_fastai.py"), "fastai"),
    "Lightning": Program(file("with_lightning.py", "lean"), "lightning"),
    "Lightning, its defaults": Program(file("with_lightning.py", "default"), "lightning"),
}


def run(program: Program, where: Pass) -> tuple[float, float, dict[str, Any]]:
    """Wall seconds, seconds of processor time, and what the program says it did."""
    with tempfile.TemporaryDirectory() as folder:
        child = run_child([sys.executable, *program.arguments(where, folder)], threads=where.threads)
        if program.result is None:
            return child.wall, child.cpu, json.loads(child.output.strip().split("\n")[-1])
        found = json.loads((Path(folder) / program.result).read_text())
    accuracy = found["splits"]["test"]["accuracy"]["value"]
    return child.wall, child.cpu, {"accuracy": accuracy, **{name: found[name] for name in ("steps", "parameters")}}


def compare(where: Pass, names: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """All runs, round by round; a program that fails is reported and left out from then on."""
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    done: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        turn = number % len(names)
        for name in [name for name in [*names[turn:], *names[:turn]] if name in wall]:
            try:
                seconds, processor, done[name] = run(PROGRAMS_BY_NAME[name], where)
            except ChildError as error:
                print(f"{name} failed:\n{error}", file=sys.stderr)
                del wall[name]
                continue
            wall[name].append(seconds)
            cpu[name].append(processor)
    reference = REFERENCE if REFERENCE in wall else next(iter(wall))
    return {
        name: {
            "wall_seconds": summary(wall[name]),
            "cpu_seconds": summary(cpu[name]),
            "ratio": ratio(wall[name], wall[reference]),
            "cpu_ratio": ratio(cpu[name], cpu[reference]),
            "work": done[name],
        }
        for name in wall
    }


def check_same_work(rows: dict[str, dict[str, Any]]) -> None:
    """Refuse a comparison of different work."""
    for name in ("steps", "parameters"):
        if len({row["work"][name] for row in rows.values()}) > 1:
            sys.exit(f"not the same {name}: { {key: row['work'][name] for key, row in rows.items()} }")
    accuracies = [row["work"]["accuracy"] for row in rows.values()]
    if max(accuracies) - min(accuracies) > CLOSE:
        sys.exit(f"accuracies are more than {CLOSE} apart: {sorted(accuracies)}")


def print_table(name: str, rows: dict[str, dict[str, Any]], rounds: int) -> None:
    # By the ratio within a round: a neighbour that slows down a whole round does not change it.
    ordered = sorted(rows.items(), key=lambda item: item[1]["ratio"]["median"])
    show(
        f"{name}: a whole run, median of {rounds} rounds [quartiles]",
        ["", "wall s", "ratio", "CPU s", "ratio of CPU", "test accuracy"],
        [
            [
                key,
                spread(row["wall_seconds"]),
                f"{row['ratio']['median']:.2f}",
                spread(row["cpu_seconds"]),
                f"{row['cpu_ratio']['median']:.2f}",
                f"{row['work']['accuracy']:.4f}",
            ]
            for key, row in ordered
        ],
    )
    if "mlkit.fit" in rows:
        peers = [key for key, _ in ordered if key != FLOOR]
        print(f"mlkit.fit is number {peers.index('mlkit.fit') + 1} of {len(peers)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=list(PASSES))
    parser.add_argument("--only", nargs="+", default=[""], help="programs with one of these in their names")
    options = parser.parse_args()
    names = [name for name in PROGRAMS_BY_NAME if any(part in name for part in options.only)]
    missing = [name for name in names if not is_installed(PROGRAMS_BY_NAME[name].package)]
    for name in missing:
        print(f"{name} is not installed")
    names = [name for name in names if name not in missing]
    for key in options.passes:
        rows = compare(PASSES[key], names, options.rounds)
        check_same_work(rows)
        print_table(key, rows, options.rounds)
        save("whole_run", key, {"rounds": options.rounds, "not_installed": missing, "rows": rows})


if __name__ == "__main__":
    main()
