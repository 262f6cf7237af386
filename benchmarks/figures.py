"""Puts the newest figures of startup, loop_overhead, whole_run and resnet_step into README.md, from results/.

Run: python benchmarks/figures.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import RESULTS, spread

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
Rows = dict[str, dict[str, Any]]
Cell = Callable[[dict[str, Any]], str]

# result file: title, and the columns of its table
TABLES: dict[str, tuple[str, dict[str, Cell]]] = {
    "startup": (
        "Start-up, processor time",
        {"seconds": lambda row: spread(row["cpu_seconds"]), "ratio": lambda row: spread(row["ratio"])},
    ),
    "loop_overhead": (
        "A step of an MLP 784-128-10, batch 32, one thread, processor time",
        {"µs": lambda row: spread(row["cpu_microseconds"], 0), "ratio": lambda row: spread(row["ratio"], 3)},
    ),
    "whole_run": (
        "Whole run: LeNet, 10,000 images, 3 epochs, test",
        {
            "wall s": lambda row: spread(row["wall_seconds"], 1),
            "ratio": lambda row: spread(row["ratio"]),
            "CPU s": lambda row: spread(row["cpu_seconds"], 1),
            "ratio of CPU": lambda row: spread(row["cpu_ratio"]),
        },
    ),
    "resnet_step": (
        "A step of ResNet-18, 64 images of 32x32",
        {
            "seconds": lambda row: spread(row["seconds"], 3),
            "mlkit is faster by": lambda row: spread(row["times_faster"]),
        },
    ),
}


def main() -> None:
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [line for name in TABLES for line in section(name)]
    README.write_text(before + BEGIN + "\n".join(["", *lines, ""]) + END + after)


def section(name: str) -> Iterator[str]:
    """Every table of a result file."""
    path = RESULTS / f"{name}.json"
    title, columns = TABLES[name]
    for key, result in (json.loads(path.read_text()) if path.exists() else {}).items():
        yield f"### {title}" + (f": {key}" if key != name else "")
        yield ""
        yield circumstances(result)
        yield ""
        yield f"| | {' | '.join(columns)} |"
        yield f"| --- |{' ---: |' * len(columns)}"
        for row, figures in sorted(result["rows"].items(), key=order(name)):
            yield f"| {row} | {' | '.join(cell(figures) for cell in columns.values())} |"
        yield ""


def order(name: str) -> Callable[[tuple[str, dict[str, Any]]], float]:
    """The fastest first where that is the point, else as the script lists them."""
    return lambda item: item[1]["ratio"]["median"] if name in ("loop_overhead", "whole_run") else 0.0


def circumstances(result: dict[str, Any]) -> str:
    hardware, packages = result["hardware"], result["packages"]
    parts = [
        result["measured"][:10],
        f"{hardware['cpu']}, {hardware['cores']} cores" + (", bfloat16" if hardware["cpu_bfloat16"] else ""),
        f"Python {hardware['versions']['python']}",
        *(f"{name} {version}" for name, version in packages.items()),
        f"{result['rounds']} rounds",
        f"load average {result['load_average'][0]}",
    ]
    if "speed" in result:
        parts.append(f"mlkit: {result['speed']['reason'].removeprefix('speed: ')}; others: {result['threads']} threads")
    return ", ".join(parts) + "."


if __name__ == "__main__":
    main()
