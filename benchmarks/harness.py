"""What the benchmarks share: timed child processes, medians with their spread, tables and result files.

Not here: what is measured and against whom; each script says that.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PROGRAMS = Path(__file__).parent / "programs"
PEERS = (
    "torch",
    "torchvision",
    "lightning",
    "skorch",
    "fastai",
    "pytorch-ignite",
    "accelerate",
    "hydra-core",
    "chorus-torch",
    "modelbatch",
    "torchmb",
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Child:
    """A child process that ended well.

    Args:
        wall: seconds from start to end.
        cpu: seconds of processor time, user and system, its own children included.
        output: what it wrote to standard output.
    """

    wall: float
    cpu: float
    output: str


class ChildError(RuntimeError):
    """A child process that failed; its last lines say why."""


def run_child(command: Sequence[str], *, threads: int | None = None, environment: Mapping[str, str] = {}) -> Child:
    """Run ``command`` to its end.

    Args:
        command: program and arguments.
        threads: what OMP_NUM_THREADS and its like are set to; None leaves the number to the libraries.
        environment: further variables.

    Raises:
        ChildError: it ended with another exit code than 0.
    """
    variables = {name: value for name, value in os.environ.items() if name not in _THREAD_VARIABLES}
    if threads is not None:
        variables |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**variables, **environment}, check=False)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise ChildError(
            "\n".join([f"{' '.join(command)} ended with {done.returncode}", *done.stderr.split("\n")[-6:]])
        )
    cpu = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return Child(wall, cpu, done.stdout)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles and all values, rounded to four digits.

    >>> summary([1.0, 2.0, 4.0])["median"]
    2.0
    """
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {
        "median": _rounded(middle),
        "low": _rounded(low),
        "high": _rounded(high),
        "values": [_rounded(value) for value in values],
    }


def ratio(values: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """The ratio round by round, so that what disturbs a whole round cancels out."""
    return summary([value / other for value, other in zip(values, reference, strict=True)])


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def versions(packages: Sequence[str] = PEERS) -> dict[str, str]:
    """The versions of the packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def is_installed(package: str) -> bool:
    return bool(versions([package]))


def circumstances() -> dict[str, Any]:
    """When, on what and with which versions; how busy the machine was."""
    from mlkit.runtime.hardware import describe

    return {
        "measured": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "packages": versions(),
        "hardware": describe(),
    }


def save(name: str, key: str, figures: Mapping[str, Any]) -> None:
    """Put ``figures`` under ``key`` into ``results/NAME.json``; what stands there under other keys stays."""
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    content = json.loads(path.read_text()) if path.exists() else {}
    content[key] = {**circumstances(), **figures}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
    sys.stdout.flush()


def spread(figures: Mapping[str, Any], digits: int = 2) -> str:
    """A summary in a cell: the median and in brackets the quartiles."""
    low, median, high = (f"{figures[name]:.{digits}f}" for name in ("low", "median", "high"))
    return f"{median} [{low}, {high}]"
