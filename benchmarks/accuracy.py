"""Test scores of the experiment files over three seeds, beside the goal and a published figure.

    python benchmarks/accuracy.py                        all experiments, about an hour and a half on 2 cores
    python benchmarks/accuracy.py lenet_mnist mlp_adult  some of them

Every run is `python -m mlkit.train experiment=NAME seed=SEED` in a process of its own; scores are read from its
result.json. The result file keeps what was measured before for the experiments that are not run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlkit.runtime.hardware import describe

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
SEEDS = (0, 1, 2)
# metric on test, goal, whether higher is better, further settings, published figure with its source
EXPERIMENTS: dict[str, tuple[str, float, list[str], str]] = {
    "lenet_mnist": ("accuracy", 0.990, [], "0.9905 LeNet-5 (LeCun et al. 1998)"),
    "mlp_mnist": ("accuracy", 0.980, [], "0.953 two-layer net, 300 hidden (LeCun et al. 1998)"),
    "lenet_fashion_mnist": ("accuracy", 0.90, [], "0.876 to 0.916 two convolutions + pooling (Fashion-MNIST README)"),
    "digits_lenet": ("accuracy", 0.98, [], "none known for this split"),
    "lstm_japanese_vowels": ("accuracy", 0.96, [], "0.96 Time-CNN, 0.98 MLP, 0.99 FCN (hfawaz/dl-4-tsc)"),
    "mlp_adult": ("accuracy", 0.85, [], "0.8446 C4.5, 0.8590 NBTree (adult.names)"),
    "mlp_california_housing": ("r2", 0.78, [], "0.606 least squares on the same features, in sample"),
    "lstm_tiny_shakespeare": (
        "loss",
        1.8,
        [],
        "1.88 character GPT on a CPU, 1.47 on a GPU (nanoGPT README; validation)",
    ),
    "resnet20_cifar10_jpeg": (
        "accuracy",
        0.0,
        ["trainer.max_epochs=4"],
        "0.9125 ResNet-20, 200 epochs, original pixels (He et al. 2016)",
    ),
}


def run(name: str, seed: int, settings: list[str]) -> dict[str, object]:
    """One run; its score, the interval, seconds and status."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mlkit.train", f"experiment={name}", f"seed={seed}", *settings]
        command += [f"hydra.run.dir={folder}/run", "tracking=none"]
        begin = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        wall = time.perf_counter() - begin
        result = json.loads((Path(folder) / "run" / "result.json").read_text())
    if done.returncode:
        return {"seed": seed, "status": result["status"], "wall_seconds": round(wall, 1)}
    score = result["splits"]["test"][EXPERIMENTS[name][0]]
    return {
        "seed": seed,
        "status": result["status"],
        "value": score["value"],
        "low": score["low"],
        "high": score["high"],
        "epochs": result["epochs"],
        "parameters": result["parameters"],
        "train_seconds": result["seconds"],
        "wall_seconds": round(wall, 1),
        "speed": result["speed"]["reason"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="NAME")
    parser.add_argument(
        "--data", default=os.environ.get("MLKIT_DATA", "../shared/data"), help="folder of the data sets"
    )
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="comma between (default %(default)s)")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    os.environ["MLKIT_DATA"] = str(Path(options.data).resolve())
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"experiments": {}}
    for name in options.experiments or EXPERIMENTS:
        metric, goal, settings, published = EXPERIMENTS[name]
        runs = [run(name, seed, settings) for seed in seeds]
        values = [float(str(entry["value"])) for entry in runs if "value" in entry]
        known["experiments"][name] = {
            "metric": f"test {metric}",
            "mean": statistics.mean(values) if values else None,
            "spread": statistics.stdev(values) if len(values) > 1 else None,
            "goal": goal or None,
            "published": published,
            "settings": settings,
            "threads": os.environ.get("OMP_NUM_THREADS", "as measured by trainer.speed=auto"),
            "machine": describe(folder=Path(__file__).parent),
            "runs": runs,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        show({name: known["experiments"][name]})


def show(experiments: dict[str, dict[str, object]]) -> None:
    for name, entry in experiments.items():
        mean, spread = entry["mean"], entry["spread"]
        print(f"{name:<24} {entry['metric']:<14} {mean:.4f} ± {spread:.4f}   goal {entry['goal']}", flush=True)
        for one in entry["runs"]:  # type: ignore[attr-defined]
            facts = (one.get("value"), f"{one.get('epochs')} epochs", f"{one['wall_seconds']} s", one.get("speed"))
            print(f"  seed {one['seed']}:", *facts, flush=True)


if __name__ == "__main__":
    main()
