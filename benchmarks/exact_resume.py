"""`kill -9` at random moments: is a resumed run bit for bit the run that was never stopped?

    python benchmarks/exact_resume.py            20 kills, about ten minutes
    python benchmarks/exact_resume.py --kills 3

A run with everything that draws at random (dropout, augmentation, an average of the weights, a schedule, clipping,
accumulation) is made once without interruption. Then it is started anew and killed from outside at a moment drawn
uniformly from its whole life, imports and the final evaluation included; and resumed, and compared: weights, optimiser,
averaged weights, random streams and every line of metrics.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlkit.engine import checkpoint
from mlkit.runtime.hardware import describe

RESULT = Path(__file__).parent / "results" / "exact_resume.json"
SETTINGS = [
    "data=digits",
    "data.augment=[shift(1),rotate(10)]",
    "model=lenet",
    "model.dropout=0.2",
    "optimizer=adamw",
    "schedule=cosine",
    "trainer.max_epochs=120",
    "trainer.batch_size=16",
    "trainer.accumulate=3",
    "trainer.clip_norm=1.0",
    "trainer.ema_decay=0.99",
    "trainer.checkpoint_every=0.2",
    "trainer.speed=off",
    "trainer.device=cpu",
]


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlkit.train", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def content(folder: Path) -> dict[str, str]:
    """Hashes of all that has to be equal."""
    last = checkpoint.load(folder / "checkpoints" / "last.pt")
    parts = {name: checkpoint.digest(last[name]) for name in ("model", "optimizer", "averaged", "rng")}
    return {**parts, "metrics": checkpoint.digest((folder / "metrics.jsonl").read_text())}


def killed_once(folder: Path, after: float) -> dict[str, object]:
    """Start a run, kill it after some seconds, and resume it: where that was, and how the second start ended."""
    with start(*SETTINGS, f"hydra.run.dir={folder}") as process:
        time.sleep(after)
        process.kill()
    try:
        step = checkpoint.load_newest(folder / "checkpoints")[0]["state"]["step"]
    except Exception:  # killed before the first checkpoint
        step = None
    again = [f"resume={folder}"] if (folder / "config.yaml").exists() else [*SETTINGS, f"hydra.run.dir={folder}"]
    with start(*again) as process:
        code = process.wait()
    return {"after_seconds": round(after, 2), "resumed_from_step": step, "exit_code": code}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    kills = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.monotonic()
        with start(*SETTINGS, f"hydra.run.dir={folder / 'whole'}") as process:
            assert process.wait() == 0
        life = time.monotonic() - begin
        expected = content(folder / "whole")
        for number in range(options.kills):
            place = folder / str(number)
            kill = killed_once(place, draw.uniform(0.0, life))
            found = content(place)
            kill["identical"] = found == expected
            kill["differs"] = [part for part in expected if found[part] != expected[part]]
            kills.append(kill)
            print(kill, flush=True)
    identical = sum(bool(kill["identical"]) for kill in kills)
    print(f"{identical} of {len(kills)} resumed runs are bit for bit the uninterrupted one")
    report = {"settings": SETTINGS, "uninterrupted_seconds": round(life, 1), "identical": identical, "kills": kills}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({**report, "machine": describe(folder=RESULT.parent)}, indent=1) + "\n")
    sys.exit(identical != len(kills))


if __name__ == "__main__":
    main()
