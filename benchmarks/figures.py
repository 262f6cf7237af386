"""Puts the newest figures of startup, loop_overhead, whole_run and resnet_step into README.md, from results/.

Run: python benchmarks/figures.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import RESULTS, spread

from mlkit.engine.speed_settings import in_threads

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
NO_PEERS = ("by hand, for speed", "Lightning, its defaults")
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
    results = {name: json.loads(path.read_text()) for name in TABLES if (path := RESULTS / f"{name}.json").exists()}
    machines = {machine(result) for name in results for result in results[name].values()}
    lines = ["", *claims(results), ""]
    if len(machines) == 1:
        lines += [f"Measured on {machines.pop()}.", ""]
    for name, by_key in results.items():
        for key, result in by_key.items():
            lines += section(name, key, result, with_machine=bool(machines))
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + "\n".join(lines) + END + after)


def claims(results: dict[str, Any]) -> Iterator[str]:
    """One line for each thing that the project claims."""
    yield "| claim | found |"
    yield "| --- | --- |"
    if "startup" in results:
        rows = results["startup"]["startup"]["rows"]
        found = rows["python -m mlkit.train --help"]["ratio"]["median"]
        yield f"| `--help`: at most 1.25 times `import torch, hydra` | {found:.2f} |"
    if "loop_overhead" in results:
        rows = results["loop_overhead"]["loop_overhead"]["rows"]
        found, hooks = (rows[name]["ratio"]["median"] for name in ("mlkit", "mlkit, 5 hooks"))
        yield f"| loop: at most 1.05 times the loop by hand | {found:.3f}; with 5 hooks {hooks:.3f} |"
    for key, result in results.get("whole_run", {}).items():
        peers = sorted((row for row in result["rows"].items() if row[0] not in NO_PEERS), key=order("whole_run"))
        place = [name for name, _ in peers].index("mlkit.fit") + 1
        yield f"| whole run, {key}: `mlkit.fit` is the first of all | number {place} of {len(peers)} |"
    for key, result in results.get("resnet_step", {}).items():
        lightning = result["rows"].get("Lightning, defaults")
        if lightning:
            found = spread(lightning["times_faster"])
            yield f"| ResNet-18 step, {key}: at least 2 times faster than Lightning's default | {found} |"


def section(name: str, key: str, result: dict[str, Any], *, with_machine: bool) -> Iterator[str]:
    """One table of a result file."""
    title, columns = TABLES[name]
    yield f"### {title}" + (f": {key}" if key != name else "")
    yield ""
    yield circumstances(result) + (f" {machine(result)}." if with_machine else "")
    yield ""
    yield f"| | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for row, figures in sorted(result["rows"].items(), key=order(name)):
        yield f"| {row} | {' | '.join(cell(figures) for cell in columns.values())} |"
    yield ""


def order(name: str) -> Callable[[tuple[str, dict[str, Any]]], float]:
    """The fastest first where that is the point, else as the script lists them."""
    return lambda item: item[1]["ratio"]["median"] if name in ("loop_overhead", "whole_run") else 0.0


def machine(result: dict[str, Any]) -> str:
    """Hardware and versions in a line."""
    hardware = result["hardware"]
    parts = [
        f"{hardware['cpu']}, {hardware['cores']} cores" + (", bfloat16" if hardware["cpu_bfloat16"] else ""),
        f"Python {hardware['versions']['python']}",
        *(f"{name} {version}" for name, version in result["packages"].items()),
    ]
    return ", ".join(parts)


def circumstances(result: dict[str, Any]) -> str:
    parts = [result["measured"][:10], f"{result['rounds']} rounds", f"load average {result['load_average'][0]}"]
    if "speed" in result:
        chosen = result["speed"]["reason"].removeprefix("speed: ")
        parts.append(f"mlkit: {chosen}; others: {in_threads(result['threads'])}")
    return ", ".join(parts) + "."


if __name__ == "__main__":
    main()
