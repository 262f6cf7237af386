"""The command `python -m mlkit.debug`: get it to run, overfit one batch, prove the cause.

Not here: what is done (`mlkit.config.debugging.job`). Torch and Hydra are imported only when something is composed.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlkit.config.apart import apart
from mlkit.config.debugging.settings import DebugSettings
from mlkit.config.debugging.tools import TOOLS
from mlkit.config.plugins import import_plugins, named_plugins
from mlkit.config.settings import settings_of
from mlkit.errors import ConfigError, MlkitError, Problem, did_you_mean

if TYPE_CHECKING:
    from mlkit.config.debugging.job import Debugged
    from mlkit.config.schema import Config
    from mlkit.data.bundle import DataBundle
    from mlkit.debug.first_step import FirstStep
    from mlkit.debug.memory import MemoryEstimate

EXAMPLES = (
    ("model=mlp data=digits optimizer.lr=1e-6", "why does this not learn?"),
    ("model=resnet18 data=cifar10 seconds=120 apply=true", "more time; the cure goes into cured.yaml"),
    ("run=outputs/2026-01-31/12-00-00-000000-auto-digits", "a run of yours, with its own settings"),
    ("lr model=lenet data=mnist", "which learning rate to begin with"),
    ("known run=FOLDER", "is this result what others get?"),
)
_MOST_COLUMNS = 120
_MOST_ROWS = 24
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; the process's own when left out.

    Returns:
        The exit code: 0 the batch is fitted, 1 it is not or debugging failed, 2 the settings cannot be right, 130
        interrupted.
    """
    from mlkit.config.command import report_error

    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except MlkitError as error:
        return report_error(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _dispatch(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m mlkit.debug", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-cd", "--config-dir")
    options, rest = parser.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        allowed = "settings as NAME=VALUE, --help"
        raise ConfigError("unknown option", received=unknown[0], allowed=allowed, todo="see --help")
    if options.help:
        print("\n".join(help_lines()))  # noqa: T201
        return 0
    overrides = [*options.overrides, *rest]
    import_plugins(named_plugins(overrides))
    tool = overrides.pop(0) if overrides and "=" not in overrides[0] else None
    if tool is not None and tool not in TOOLS:
        todo = did_you_mean(tool, TOOLS) or "settings are NAME=VALUE; see --help"
        raise ConfigError("unknown tool", received=tool, allowed=", ".join(TOOLS), todo=todo)
    settings, of_run, problems = apart(overrides, DebugSettings)
    if tool in ("known", "baselines"):
        return _of_finished(tool, settings, of_run, problems)
    config, found = _config(settings, of_run, options.config_dir)
    problems += found
    if problems or config is None:
        raise ConfigError(problems)
    return _range_test(config, settings) if tool == "lr" else _debug(config, settings, of_run)


def _of_finished(tool: str, settings: DebugSettings, of_run: list[str], problems: list[Problem]) -> int:
    from mlkit.config.debugging.tools import baselines, known
    from mlkit.config.show import say

    if of_run:
        problems.append(Problem(f"{tool} takes a finished run as it is", " ".join(of_run), "run=FOLDER"))
    if problems:
        raise ConfigError(problems)
    text, code = known(settings.run) if tool == "known" else baselines(settings.run)
    say(text)
    return code


def _range_test(config: Config, settings: DebugSettings) -> int:
    from mlkit.config.debugging.tools import range_test
    from mlkit.config.show import say

    text, code = range_test(config, _place(config, settings, "lr"))
    say(text)
    return code


def _place(config: Config, settings: DebugSettings, what: str) -> Path:
    from mlkit.config.run_folder import default_folder

    return (
        default_folder(f"{what}-{config.run_name}") if settings.folder is None else Path(settings.folder).expanduser()
    )


def _config(settings: DebugSettings, of_run: list[str], extra: str | None) -> tuple[Config | None, list[Problem]]:
    """The settings of the training that is looked at, and everything that is wrong."""
    from mlkit.config.compose import composer, extra_folder

    if settings.run is not None:
        from mlkit.config.resume import resumed_config

        changed = [word for word in of_run if not word.lstrip("+").startswith("plugins=")]
        if changed:
            todo = "leave run= out, and give all settings"
            return None, [
                Problem("the settings of a run are taken as they are", " ".join(changed), "run=FOLDER alone", todo)
            ]
        return resumed_config(Path(settings.run).expanduser().absolute(), {})
    with composer("train", extra=extra_folder(extra)) as session:
        composed, problems = session.compose(of_run)
    return (None if composed is None else composed.config), problems


def _debug(config: Config, settings: DebugSettings, of_run: list[str]) -> int:
    from mlkit.config.debugging.job import debug, write
    from mlkit.config.run_folder import shown
    from mlkit.config.show import say

    found = debug(config, settings, on_step=lambda data, step, memory: _tell_step(config, data, step, memory))
    if found.cause is not None:
        say("")
        say(str(found.cause))
    target = write(found, _place(config, settings, "debug"), apply=settings.apply)
    say("")
    for line in _next(found, settings, of_run, target.parent):
        say(line)
    say(f"page: {shown(target)}")
    return 0 if found.is_fine else 1


def _tell_step(config: Config, data: DataBundle, step: FirstStep, memory: MemoryEstimate | None) -> None:
    from mlkit import __version__
    from mlkit.config.show import say, say_labelled

    say(f"mlkit {__version__}: {config.run_name}, seed {config.seed}")
    say_labelled("data", str(data))
    say("")
    say(step.text(most=_MOST_ROWS))
    if memory is not None:
        say(memory.sentence())


def _next(found: Debugged, settings: DebugSettings, of_run: list[str], folder: Path) -> Iterator[str]:
    """What to do with the answer."""
    from mlkit.config.run_folder import shown

    given = "" if settings.run is not None else " ".join(map(shlex.quote, of_run))
    if found.is_fine:
        yield "the batch is fitted: train it, and see where the error comes from:"
        yield f"  python -m mlkit.train {given}".rstrip()
    elif found.override is not None:
        if settings.run is None:
            yield "train with the cure:"
            yield f"  python -m mlkit.train {shlex.join(_with_cure(found, of_run))}"
        if settings.apply:
            yield f"settings with the cure: {shown(folder / 'cured.yaml')}"
        else:
            yield f"the cure as a setting: {found.override}; apply=true writes all settings to a file"
    elif found.cause is not None and found.cause.cure is not None:
        yield "the cure is a change of code, not of settings"


def _with_cure(found: Debugged, of_run: list[str]) -> list[str]:
    """The overrides of the run with those of the cure in the place of what they change."""
    cure = (found.override or "").split()
    changed = {word.partition("=")[0] for word in cure}
    words = [word for word in of_run if word.lstrip("+").partition("=")[0] not in changed]
    if not any(word.startswith(("model=", "experiment=")) for word in [*words, *cure]):
        words = [f"model={found.config.model.name}", *words]
    return [*words, *cure]


def help_lines(*, width: int | None = None) -> Iterator[str]:
    """The page for ``--help``."""
    width = max(40, min(width or shutil.get_terminal_size().columns, _MOST_COLUMNS))
    yield from textwrap.wrap("Why does it not train? One step, one batch, and the smallest change that cures.", width)
    yield ""
    yield "usage: python -m mlkit.debug [TOOL] [NAME=VALUE …] [options]"
    yield ""
    for line, text in EXAMPLES:
        yield f"python -m mlkit.debug {line}"
        yield f"    {text}"
    yield ""
    yield "tools"
    for name, text in TOOLS.items():
        yield from textwrap.wrap(f"  {name} {text}", width, subsequent_indent="      ")
    yield ""
    yield "settings"
    for name, setting in settings_of(DebugSettings).items():
        default = f" ({setting.shown_default}; {setting.allowed})"
        yield from textwrap.wrap(f"  {name}: {setting.help}{default}", width, subsequent_indent="      ")
    yield ""
    yield from textwrap.wrap("All other settings are those of a run: python -m mlkit.train --help", width)
