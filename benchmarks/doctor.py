"""The doctor on the corpus of training programs: what it finds, where, how often wrongly, how fast.

    python benchmarks/doctor.py               every program, its healthy twin, seeds 0 1 2; writes the result file
    python benchmarks/doctor.py --split rules --seeds 0 o01 l05        some of them; nothing is written
    python benchmarks/doctor.py --codes step.gradients-not-cleared     those whose bug has that code

Each program runs in a process of its own, forked from one that has imported torch, so that the import is paid once;
what is reported as seconds is therefore without it. Definitions: *detected*: an error or warning with a right code;
*top-1*: it is the first of the report; *line*: within two lines of a marked one; *false*: any error (or warning) on a
healthy program. For programs with two bugs a right code is that of either, and top-1 that of the graver.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.debug.corpus import Program, programs

RESULTS = Path(__file__).parent / "results" / "doctor.json"
DEADLINE = 120.0


@dataclass
class Run:
    """One variant of one program under the doctor."""

    program: Program
    healthy: bool
    seed: int
    findings: list[dict[str, object]]
    seconds: float
    overhead: float
    problem: str | None = None
    skipped: list[dict[str, str]] | None = None

    @property
    def loud(self) -> list[dict[str, object]]:
        return [one for one in self.findings if one["severity"] != "info"]

    @property
    def expects(self) -> bool:
        return self.program.is_buggy and not self.healthy

    @property
    def is_detected(self) -> bool:
        right = {*self.program.codes, *self.program.also}
        return any({one["code"], *_related(one)} & right for one in self.loud)

    def is_top(self, count: int) -> bool:
        return any(one["code"] in self.program.codes for one in self.loud[:count])

    @property
    def has_line(self) -> bool:
        """Whether the first right finding stands within two lines of a marked one."""
        right = {*self.program.codes, *self.program.also}
        for one in self.loud:
            if one["code"] in right and isinstance(one["line"], int):
                return any(abs(int(one["line"]) - line) <= 2 for line in self.program.lines)
        return False

    def false(self, severity: str) -> list[str]:
        return [str(one["code"]) for one in self.findings if one["severity"] == severity]


def _related(one: dict[str, object]) -> set[object]:
    related = one["related"]
    assert isinstance(related, list)
    return {other["code"] for other in related}


def run(program: Program, *, healthy: bool, seed: int, show: bool = False) -> Run:
    """Run one variant in a forked process."""
    with tempfile.TemporaryDirectory() as folder:
        path = program.write(Path(folder), healthy=healthy, seed=seed)
        target = Path(folder) / "report.json"
        begin = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            _child(path, target, Path(folder), show=show)
        problem = _wait(pid, begin + DEADLINE)
        seconds = time.perf_counter() - begin
        if show:
            print((Path(folder) / "output").read_text())
        if not target.exists():
            output = (Path(folder) / "output").read_text()[-400:]
            return Run(program, healthy, seed, [], seconds, 0.0, problem or f"no report: {output}")
        report = json.loads(target.read_text())
    return Run(
        program, healthy, seed, report["findings"], report["seconds"], report["overhead"], problem, report["skipped"]
    )


def _child(path: Path, target: Path, folder: Path, *, show: bool) -> None:
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    random.seed(0)
    code = 70
    with contextlib.suppress(BaseException):
        from mlkit.debug.command import main

        os.chdir(folder)
        code = main(["--json", str(target), path.name])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(pid: int, deadline: float) -> str | None:
    while time.perf_counter() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return None
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"killed after {DEADLINE:.0f} s"


def table(runs: list[Run]) -> dict[str, object]:
    """The figures of a set of runs."""
    buggy = [one for one in runs if one.expects]
    healthy = [one for one in runs if not one.expects]

    def share(values: list[bool]) -> float | None:
        return round(sum(values) / len(values), 4) if values else None

    return {
        "buggy runs": len(buggy),
        "detected": share([one.is_detected for one in buggy]),
        "top-1": share([one.is_top(1) for one in buggy]),
        "top-3": share([one.is_top(3) for one in buggy]),
        "line right, of detected": share([one.has_line for one in buggy if one.is_detected and one.program.lines]),
        "healthy runs": len(healthy),
        "false errors per healthy run": share([bool(one.false("error")) for one in healthy]),
        "false warnings per healthy run": share([bool(one.false("warning")) for one in healthy]),
        "median overhead, s": round(statistics.median([one.overhead for one in runs]), 2) if runs else None,
    }


def show(one: Run) -> str:
    """A run in one line."""
    kind = "healthy" if not one.expects else "buggy"
    if one.problem:
        mark = f"PROBLEM {one.problem}"
    elif one.expects:
        words = [
            "top1" if one.is_top(1) else "top3" if one.is_top(3) else "found" if one.is_detected else "MISSED",
            "line" if one.has_line else "LINE?" if one.is_detected else "",
        ]
        mark = " ".join(words)
    else:
        mark = "FALSE ERROR" if one.false("error") else "false warning" if one.false("warning") else "quiet"
    found = ", ".join(f"{str(f['severity'])[0]}:{f['code']}@{f['line']}" for f in one.findings)
    internal = [s for s in one.skipped or [] if "internal" in s["why"] or "Error" in s["why"]]
    extra = "".join(f"\n      skipped {s['check']}: {s['why'][:160]}" for s in internal)
    return f"{one.program.name:<32}{kind:<8}{one.seed} {mark:<12} {one.overhead:5.1f}s  {found}{extra}"


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of file names; all without")
    parser.add_argument("--split", choices=("rules", "held-out", "fresh"))
    parser.add_argument("--codes", default="", help="only programs whose bug has one of these codes (or families)")
    parser.add_argument("--seeds", type=_numbers, default=[0, 1, 2], help="comma between (default 0,1,2)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", choices=("buggy", "healthy"))
    parser.add_argument("--show", action="store_true", help="print each program's output and report")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import sklearn.datasets
    import sklearn.model_selection  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    wanted = [one for one in options.codes.split(",") if one]
    chosen = [
        one
        for one in programs(split=options.split)
        if (not options.names or any(one.name.startswith(name) for name in options.names))
        and (not wanted or any(code.startswith(name) for code in (*one.codes, *one.also) for name in wanted))
        and all(find_spec(name) for name in one.needs)
    ]
    todo = [(one, healthy, seed) for one in chosen for seed in options.seeds for healthy in (False, True)]
    todo = [(one, healthy, seed) for one, healthy, seed in todo if one.is_buggy or healthy]
    if options.only:
        todo = [job for job in todo if job[1] is (options.only == "healthy")]
    runs: list[Run] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for one in pool.map(lambda job: run(job[0], healthy=job[1], seed=job[2], show=options.show), todo):
            runs.append(one)
            print(show(one), flush=True)
    figures = {
        name: table([one for one in runs if name in ("all", one.program.split)])
        for name in ("all", "rules", "held-out", "fresh")
    }
    print(json.dumps(figures, indent=1))
    if not options.names and not wanted and not options.split and not options.only:
        _write(runs, figures)


def _write(runs: list[Run], figures: dict[str, object]) -> None:
    from mlkit.runtime.hardware import describe

    entries = [
        {
            "program": one.program.name,
            "variant": "healthy" if not one.expects else "buggy",
            "seed": one.seed,
            "found": [f"{f['severity']}:{f['code']}@{f['line']}" for f in one.findings],
            "detected": one.is_detected if one.expects else None,
            "top-1": one.is_top(1) if one.expects else None,
            "line": one.has_line if one.expects else None,
            "seconds": one.seconds,
            "overhead": one.overhead,
        }
        for one in runs
    ]
    RESULTS.write_text(
        json.dumps({"figures": figures, "machine": describe(folder=Path(__file__).parent), "runs": entries}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
