"""The command `python -m mlkit.watch`: options, the program, the report, the exit code.

Not here: observation and judgement.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mlkit.debug.questions import ALLOWED, parse
from mlkit.errors import ConfigError, did_you_mean

DESCRIPTION = """\
Run a PyTorch program unmodified, find bugs in its training, and point at the line.

examples:
  python -m mlkit.watch train.py --epochs 3
  python -m mlkit.watch --json report.json --fail-on warning train.py
  python -m mlkit.watch -m package.train
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse options, run, report; returns the exit code."""
    options, problem = _parse(list(sys.argv[1:] if arguments is None else arguments))
    if options is None:
        print(problem, file=sys.stderr)  # noqa: T201
        return 2
    if options.list or options.explain:
        return _reference(options)

    from mlkit.debug.findings import ORDER, Finding
    from mlkit.debug.present import one_line, text, write_html, write_json
    from mlkit.debug.watching import Watch, run_program

    colour = sys.stderr.isatty()

    def tell(finding: Finding) -> None:
        print(one_line(finding, colour=colour), file=sys.stderr, flush=True)  # noqa: T201

    watch = Watch(
        window=options.steps,
        trials=not options.no_trials,
        budget=options.budget,
        select=options.select,
        ignore=options.ignore,
        on_finding=tell,
        own=_own_folders(options),
        questions=options.questions,
    )
    code = run_program(options.program[0], options.program[1:], is_module=options.module, watch=watch)
    report = watch.report
    print(file=sys.stderr)  # noqa: T201
    print(text(report, colour=colour, width=shutil.get_terminal_size().columns), file=sys.stderr)  # noqa: T201
    if options.json:
        write_json(report, Path(options.json))
    if options.html:
        write_html(report, Path(options.html), title=options.program[0])
    if code:
        return code
    worst = report.worst()
    limit = {"error": 0, "warning": 1, "never": -1}[options.fail_on]
    return int(worst is not None and ORDER[worst] <= limit)


def _own_folders(options: argparse.Namespace) -> tuple[str, ...]:
    if not options.module:
        return (str(Path(options.program[0]).resolve().parent) + "/",)
    import importlib.util

    spec = importlib.util.find_spec(options.program[0].split(".")[0])
    return tuple(f"{folder}/" for folder in (spec.submodule_search_locations or ())) if spec else ()


def _codes(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlkit.watch",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] (SCRIPT | -m MODULE) [ARGUMENT …]",
        exit_on_error=False,
    )
    add = parser.add_argument
    add("--json", metavar="FILE", help="write the report as JSON, also when the program crashes or is interrupted")
    add("--html", metavar="FILE", help="write the report as a page that needs no other file")
    add("--steps", type=int, default=20, metavar="N", help="optimiser steps to look at in detail (default 20)")
    add("--select", type=_codes, default=[], metavar="CODES", help="only these codes or families, comma between")
    add("--ignore", type=_codes, default=[], metavar="CODES", help="not these codes or families")
    add("--fail-on", choices=("error", "warning", "never"), default="error", help="exit with 1 from here on")
    add("--no-trials", action="store_true", help="only observe; no forked experiments")
    add("--budget", type=float, default=20.0, metavar="SECONDS", help="processor time for probes (default 20)")
    add("--what-if", action="append", default=[], metavar="CHANGE", help=f"go on from the first step with {ALLOWED}")
    add("--overfit-batch", action="store_true", help="go on from the first step with the same batch again and again")
    add("--list", action="store_true", help="list all codes")
    add("--explain", metavar="CODE", help="print the reference page of a code")
    add("-m", dest="module", action="store_true", help="the program is a module, as in python -m")
    add("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _parse(arguments: list[str]) -> tuple[argparse.Namespace | None, str]:
    parser = _parser()
    try:
        options, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        return None, f"error: {error}\n  to do:    python -m mlkit.watch --help"
    if unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        hint = did_you_mean(unknown[0], known) or "options of the program stand after its name"
        return None, f"error: unknown option\n  received: {unknown[0]}\n  to do:    {hint}"
    if options.list or options.explain:
        return options, ""
    if not options.program:
        return None, "error: no program was given\n  to do:    python -m mlkit.watch train.py"
    if not options.module and not Path(options.program[0]).is_file():
        return None, f"error: there is no such file\n  received: {options.program[0]}"
    try:
        options.questions = [parse(text) for text in options.what_if]
        if options.overfit_batch:
            options.questions.append(parse("same-batch"))
    except ConfigError as error:
        return None, f"error: {error}"
    if options.steps < 1:
        return None, f"error: --steps is at least 1\n  received: {options.steps}"
    strange = [name for name in (*options.select, *options.ignore) if not _is_known(name)]
    if strange:
        hint = did_you_mean(strange[0], _all_codes()) or "python -m mlkit.watch --list"
        return None, f"error: no such code or family\n  received: {strange[0]}\n  to do:    {hint}"
    return options, ""


def _all_codes() -> list[str]:
    from mlkit.debug.rules import load

    return sorted({code for rule in load() for code in rule.codes})


def _is_known(name: str) -> bool:
    from mlkit.debug.diagnose import matches

    return any(matches(code, [name]) for code in _all_codes())


def _reference(options: argparse.Namespace) -> int:
    import inspect

    from mlkit.debug.rules import load

    if options.explain:
        for rule in load():
            if options.explain in rule.codes:
                print(f"{', '.join(rule.codes)}\n\n{inspect.cleandoc(rule.page)}")  # noqa: T201
                return 0
        hint = did_you_mean(options.explain, _all_codes()) or "python -m mlkit.watch --list"
        print(f"error: no such code\n  received: {options.explain}\n  to do:    {hint}", file=sys.stderr)  # noqa: T201
        return 2
    for rule in load():
        first = inspect.cleandoc(rule.page).splitlines()[0] if rule.page else ""
        for code in rule.codes:
            print(f"{code:<40} {first}")  # noqa: T201
    return 0
