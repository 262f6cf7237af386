"""Processor time of the command before it does anything, against importing what it is made of.

Claim: ``python -m mlkit.train --help`` takes at most 1.25 times as long as ``python -c "import torch, hydra"``.
Processor time (user and system) of child processes, in turn, so that neighbours hardly count.

Run: python benchmarks/startup.py [--rounds 10]
"""

from __future__ import annotations

import argparse
import sys

from harness import ratio, run_child, save, show, spread, summary

REFERENCE = "import torch, hydra"
TARGET = 1.25
COMMANDS = {
    REFERENCE: ["-c", "import torch, hydra"],
    "python alone": ["-c", "pass"],
    "import mlkit": ["-c", "import mlkit"],
    "python -m mlkit.train --help": ["-m", "mlkit.train", "--help"],
    "python -m mlkit.train --cfg job": ["-m", "mlkit.train", "--cfg", "job"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    for command in COMMANDS.values():  # writes the byte code, brings files into memory
        run_child([sys.executable, *command], threads=1)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            seconds[name].append(run_child([sys.executable, *command], threads=1).cpu)
    figures = {
        name: {"cpu_seconds": summary(values), "ratio": ratio(values, seconds[REFERENCE])}
        for name, values in seconds.items()
    }
    show(
        f"start-up, median of {rounds} rounds [quartiles]",
        ["", "CPU seconds", f"ratio to '{REFERENCE}'"],
        [[name, spread(row["cpu_seconds"]), spread(row["ratio"])] for name, row in figures.items()],
    )
    found = figures["python -m mlkit.train --help"]["ratio"]["median"]
    print(f"\n--help: {found:.2f}, target at most {TARGET}: {'reached' if found <= TARGET else 'missed'}")
    save("startup", "startup", {"rounds": rounds, "target": TARGET, "rows": figures})


if __name__ == "__main__":
    main()
