"""Does the doctor change anything? Every program of the corpus alone and watched: same output, same numbers to the bit.

    python benchmarks/doctor_identity.py              all programs, buggy and healthy; writes the result file
    python benchmarks/doctor_identity.py o01 h09      those whose names begin so; nothing is written

Compared are the bytes that the program writes to standard output, its exit code, and a digest of what it leaves behind:
every tensor, module and optimiser among its global variables, and the states of the random generators of Python, NumPy
and torch. Each program runs three times, twice alone: what differs between those two (a time that is printed, say) is
not the doctor's doing, and is counted apart. A program that keeps all in a function's variables is compared by output
and generators only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.doctor import DEADLINE, _wait
from tests.debug.corpus import Program, programs

RESULTS = Path(__file__).parent / "results" / "doctor_identity.json"
Trace = tuple[bytes, int, str]


def trace_of(program: Program, *, healthy: bool, watched: bool) -> Trace | None:
    """Output, exit code and digest of one run in a forked process; None where it was killed or ended on its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = program.write(Path(folder), healthy=healthy)
        begin = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            _child(path, Path(folder), watched=watched)
        if _wait(pid, begin + DEADLINE) is not None:
            return None
        if not (Path(folder) / "end.json").exists():  # it ended by itself, as os._exit and a signal do
            return None
        end = json.loads((Path(folder) / "end.json").read_text())
        text = (Path(folder) / "output").read_bytes().replace(folder.encode(), b"FOLDER")
        return text, end["code"], end["digest"]


def _child(path: Path, folder: Path, *, watched: bool) -> None:
    end = folder / "end.json"
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    sys.stdout = os.fdopen(1, "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stderr = os.fdopen(2, "w")
    random.seed(0)
    os.chdir(folder)
    code, state = 1, "not reached"
    try:
        code = _watched(path) if watched else _alone(path)
        state = digest()
    except BaseException as error:  # whatever it is: a child must never go on as if it were the parent
        state = f"no digest: {type(error).__name__}: {error}"
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        end.write_text(json.dumps({"code": code, "digest": state}))
        os._exit(0)


def _alone(path: Path) -> int:
    from mlkit.debug.watching import _exit_code, _script_runner

    try:
        _script_runner(path.name, [])()
    except SystemExit as stop:
        return _exit_code(stop)
    except BaseException:
        return 1
    return 0


def _watched(path: Path) -> int:
    from mlkit.debug.command import main

    with contextlib.redirect_stderr(io.StringIO()):
        return main(["--fail-on", "never", path.name])


def digest() -> str:
    """Of what the program left in its global variables, and of the random generators."""
    import numpy as np
    import torch

    whole = hashlib.sha256()
    for name, value in sorted(vars(sys.modules["__main__"]).items()):
        if isinstance(value, (torch.nn.Module, torch.optim.Optimizer)):
            _add(whole, name, value.state_dict())
        elif isinstance(value, (torch.Tensor, np.ndarray)):
            _add(whole, name, value)
    _add(whole, "torch", torch.get_rng_state())
    _add(whole, "numpy", list(np.random.get_state()))
    _add(whole, "python", list(random.getstate()[1]))
    return whole.hexdigest()


def _add(whole: hashlib._Hash, name: str, value: object) -> None:
    import numpy as np
    import torch

    whole.update(name.encode())
    if isinstance(value, dict):
        for key, item in value.items():
            _add(whole, str(key), item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _add(whole, "", item)
    elif isinstance(value, torch.Tensor):
        whole.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        whole.update(np.ascontiguousarray(value).tobytes())
    else:
        whole.update(str(value).encode())


def compared(program: Program, *, healthy: bool) -> str:
    """``same``, ``differs`` (and in what), ``not repeatable``, ``no digest``, or ``killed``."""
    first, second, watched = (trace_of(program, healthy=healthy, watched=flag) for flag in (False, False, True))
    if first is None or second is None or watched is None:
        return "killed"
    differing = [
        part
        for part, alone, again, seen in zip(("output", "exit code", "state"), first, second, watched, strict=True)
        if alone == again and seen != alone
    ]
    if differing:
        return f"differs: {', '.join(differing)}"
    if first[2].startswith("no digest"):
        return first[2]
    return "same" if first == second else "same in what is repeatable"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of file names; all without")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from importlib.util import find_spec

    import sklearn.datasets
    import sklearn.model_selection  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    chosen = [
        one
        for one in programs()
        if (not options.names or any(one.name.startswith(name) for name in options.names))
        and all(find_spec(name) for name in one.needs)
    ]
    found: dict[str, str] = {}
    for one in chosen:
        for healthy in (False, True) if one.is_buggy else (True,):
            name = f"{one.name} {'healthy' if healthy else 'buggy'}"
            found[name] = compared(one, healthy=healthy)
            if found[name] != "same":
                print(f"{name}: {found[name]}", flush=True)
    counts = {verdict: list(found.values()).count(verdict) for verdict in sorted(set(found.values()))}
    print(json.dumps(counts, indent=1))
    if not options.names:
        from mlkit.runtime.hardware import describe

        whole = {"counts": counts, "runs": found, "machine": describe(folder=Path(__file__).parent)}
        RESULTS.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
