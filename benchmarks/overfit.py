"""Overfit one batch: are symptom and smallest cure right, and is what is healthy left alone?

    python benchmarks/overfit.py                 all cases, three seeds; writes the result file
    python benchmarks/overfit.py --seeds 0 L01   some of them; nothing is written

Three sets: ``planted`` (19 bugs that were there while the tools were written), ``corpus`` (33 cases written from the
corpus afterwards, each with a healthy twin; their first look is kept, and what it missed was then worked on) and
``baselines`` (the models of this library on data sets, as ``python -m mlkit.debug`` makes them). Beside the answer
stand two that need no thought: a change drawn at random among those that were tried (its chance of being right,
exactly), and always the best learning rate. Definitions: *symptom right*: one of those that the case allows; *cure
right*: of the cases that a single change cures, the smallest cure told is one that takes the planted cause away;
*shows*: a case has a symptom on its batch at all (`shows`); *told*: the report is not that all is well; *false*: a
healthy setup that is not told to be fitted, or of which a rule reports an error, or a cure told for a case that no
single change cures.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.harness import save
from mlkit.config import Config
from mlkit.config.debugging.job import debug
from mlkit.config.debugging.settings import DebugSettings
from mlkit.debug.overfit import prove
from mlkit.debug.overfit.cause import CauseReport
from mlkit.debug.overfit.course import train
from mlkit.debug.overfit.run import prepared, stick_of
from mlkit.debug.overfit.yardstick import FITTED
from tests.debug.overfit.cases import Parts, cases
from tests.debug.overfit.planted import planted

SECONDS = 20.0
IMAGES = ("digits", "mnist", "fashion_mnist", "usps", "cifar10_jpeg")
BASELINES = {
    "mlp": (*IMAGES[:4], "adult", "california_housing", "wine", "diabetes"),
    "lenet": IMAGES,
    "resnet20": IMAGES,
    "lstm": (
        "japanese_vowels", "italy_power_demand", "basic_motions", "names", "tiny_shakespeare", "etth1", "adding",
        "sunspots",
    ),
}  # fmt: skip


def every(seed: int) -> Iterator[tuple[str, str, Parts, Parts | None, tuple[str, ...], tuple[str, ...]]]:
    """Set, name, sick and healthy parts, allowed symptoms and cures."""
    for name, bug in planted(seed).items():
        yield "planted", name, Parts(*bug[:4]), None, bug.symptoms, bug.cures
    for case in cases(seed):
        yield "corpus", case.code, case.sick, case.healthy, case.symptoms, case.cures


def one(sick: Parts, healthy: Parts | None, symptoms: tuple[str, ...], cures: tuple[str, ...]) -> dict[str, Any]:
    """What was told of one case."""
    begin = time.perf_counter()
    report = prove(sick.model, sick.batch, sick.loss_fn, sick.optimizer, seconds=SECONDS)
    spent = time.perf_counter() - begin
    tried = [trial for trial in report.trials if trial.problem is None and " and " not in trial.change.name]
    right = [trial.change.name.startswith(cures) and trial.cures for trial in tried] if cures else []
    rates = [trial for trial in tried if trial.change.name.startswith("learning rate") and trial.cures]
    cure = None if report.cure is None else report.cure.change.name
    found: dict[str, Any] = {
        "symptom": report.overfit.symptom,
        "symptom_right": report.overfit.symptom in symptoms,
        "told": not report.is_fine,
        "cure": cure,
        "cure_right": cure is None if not cures else cure is not None and cure.startswith(cures),
        "can_be_cured": bool(cures),
        "random": sum(right) / len(right) if right else 0.0,
        "always_rate": bool(rates)
        and any("learning rate x".startswith(one) or one.startswith("learning") for one in cures),
        "seconds": round(spent, 2),
    }
    if healthy is not None:
        well = prove(healthy.model, healthy.batch, healthy.loss_fn, healthy.optimizer, seconds=SECONDS)
        found["healthy_twin"] = _word(well)
        found["shows"] = shows(sick, healthy)
    return found


def _word(report: CauseReport) -> str:
    """The symptom, and the codes of errors where the batch is fitted all the same."""
    codes = [finding.code for finding in report.findings] if report.overfit.is_fine else []
    return " ".join([report.overfit.symptom, *codes])


def shows(sick: Parts, healthy: Parts) -> bool:
    """Whether a bug has a symptom on its batch: after 300 steps the healthy twin fits it, and the buggy one does not.

    By accuracy or R² in the worse of both modes alone. A case without is not one that overfitting a batch can find.
    """
    return _share(healthy) >= FITTED > _share(sick)


def _share(parts: Parts) -> float:
    setup = prepared(parts.model, parts.batch, parts.loss_fn, parts.optimizer, seed=0)
    stick = stick_of(setup)
    if stick is None:
        return 0.0
    course = train(setup.copied(), stick, steps=300, seed=0)
    share = min(stick.share(course.last_score), stick.share(course.last_eval_score))
    return share if math.isfinite(share) and all(map(math.isfinite, course.losses)) else 0.0


def baselines(names: list[str]) -> dict[str, dict[str, Any]]:
    """What is told of models and data sets in which nothing is wrong, with the settings that the command takes."""
    rows: dict[str, dict[str, Any]] = {}
    for model, sets in BASELINES.items():
        for data in sets:
            name = f"{model} on {data}"
            if names and not any(name.startswith(start) for start in names):
                continue
            begin = time.perf_counter()
            found = debug(Config.from_overrides([f"model={model}", f"data={data}"]), DebugSettings(memory=False))
            word = "breaks" if found.cause is None else _word(found.cause)
            rows[name] = {"told": word, "seconds": round(time.perf_counter() - begin, 2)}
            print(f"baselines {name}: {word}; {rows[name]['seconds']} s", flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares over cases and seeds."""
    curable = [row for row in rows if row["can_be_cured"]]
    others = [row for row in rows if not row["can_be_cured"]]
    twins = [row for row in rows if "healthy_twin" in row]
    seen = [row for row in twins if row["shows"]]
    right_of_these = round(sum(row["symptom_right"] for row in seen) / max(len(seen), 1), 3)
    return {
        "runs": len(rows),
        **({"of_which_show": len(seen), "symptom_right_of_these": right_of_these} if seen else {}),
        "told": round(sum(row["told"] for row in rows) / len(rows), 3),
        "symptom_right": round(sum(row["symptom_right"] for row in rows) / len(rows), 3),
        "curable": len(curable),
        "cure_right": round(sum(row["cure_right"] for row in curable) / len(curable), 3),
        "random_change_right": round(sum(row["random"] for row in curable) / len(curable), 3),
        "always_learning_rate_right": round(sum(row["always_rate"] for row in curable) / len(curable), 3),
        "false_cures": sum(not row["cure_right"] for row in others),
        "not_curable": len(others),
        "healthy": len(twins),
        "false_alarms": sum(row["healthy_twin"] != "overfits" for row in twins),
        "median_seconds": sorted(row["seconds"] for row in rows)[len(rows) // 2],
        "longest_seconds": max(row["seconds"] for row in rows),
    }


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of names; all without")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", choices=["planted", "corpus", "baselines"])
    parser.add_argument("--key", help="key in the result file (default: complete)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, dict[str, dict[str, Any]]] = {"planted": {}, "corpus": {}}
    for seed in map(int, options.seeds.split(",")):
        for which, name, sick, healthy, symptoms, cures in every(seed):
            if options.names and not any(name.startswith(start) for start in options.names):
                continue
            if options.set is not None and which != options.set:
                continue
            row = found[which][f"{name}, seed {seed}"] = one(sick, healthy, symptoms, cures)
            marks = ("" if row["symptom_right"] else " SYMPTOM") + ("" if row["cure_right"] else " CURE")
            marks += "" if row.get("healthy_twin", "overfits") == "overfits" else " TWIN"
            print(f"{which} {name} {seed}: {row['symptom']}; {row['cure']}; {row['seconds']} s{marks}", flush=True)
    figures: dict[str, Any] = {
        which: {**table(list(rows.values())), "cases": rows} for which, rows in found.items() if rows
    }
    if options.set in (None, "baselines"):
        rows = baselines(options.names)
        alarms = sum(row["told"] != "overfits" for row in rows.values())
        longest = max((row["seconds"] for row in rows.values()), default=0.0)
        figures["baselines"] = {"runs": len(rows), "false_alarms": alarms, "longest_seconds": longest, "cases": rows}
    for which, content in figures.items():
        print(which, {name: value for name, value in content.items() if name != "cases"})
    if options.key or not (options.names or options.set or options.seeds != "0,1,2"):
        save("overfit", options.key or "complete", figures)


if __name__ == "__main__":
    main()
