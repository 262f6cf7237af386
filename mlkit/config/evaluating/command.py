"""The command `python -m mlkit.evaluate`: a finished run, or one that is trained first; the page, and where it stands.

Not here: the evaluation (`mlkit.config.evaluating.job`). Torch and Hydra are imported only when there is work to do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlkit.config.evaluating.settings import EvaluateSettings, split_settings
from mlkit.config.plugins import import_plugins, named_plugins
from mlkit.config.settings import settings_of
from mlkit.errors import ConfigError, MlkitError

EXAMPLES = (
    ("run=outputs/2026-01-31/12-00-00-000000-auto-digits", "a run of yours"),
    ("run=FOLDER human=0.02 size=quick", "against the error of people, with few models"),
    ("data=digits model=mlp", "train first, then evaluate"),
)
_MOST_COLUMNS = 120
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; the process's own when left out.

    Returns:
        The exit code: 0 done, 1 it failed, 2 the settings cannot be right, 130 interrupted.
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
    parser = argparse.ArgumentParser(prog="python -m mlkit.evaluate", add_help=False, allow_abbrev=False)
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
    settings, of_run, problems = split_settings(overrides)
    if problems:
        raise ConfigError(problems)
    place = Path(settings.run) if settings.run is not None else _trained(of_run, options.config_dir)
    return _evaluate(place, settings)


def _trained(overrides: list[str], extra: str | None) -> Path:
    """Train as the settings say; the folder of the run."""
    from mlkit.config.compose import composer, extra_folder
    from mlkit.config.job import run

    with composer("train", extra=extra_folder(extra)) as session:
        composed, problems = session.compose(overrides)
        if problems or composed is None:
            raise ConfigError(problems)
        return session.run(composed, run).folder


def _evaluate(place: Path, settings: EvaluateSettings) -> int:
    from mlkit.config.evaluating.finished import finished_run
    from mlkit.config.evaluating.job import evaluate, write
    from mlkit.config.run_folder import shown
    from mlkit.config.show import last_line, say

    found = evaluate(finished_run(place), settings)
    target = write(found, Path(settings.folder) if settings.folder is not None else found.finished.folder)
    say("")
    say(str(found))
    say("")
    say(f"page: {shown(target)}")
    last_line(found.finished.folder)
    return 0


def help_lines(*, width: int | None = None) -> Iterator[str]:
    """The page for ``--help``."""
    width = max(40, min(width or shutil.get_terminal_size().columns, _MOST_COLUMNS))
    yield from textwrap.wrap("Where the error of a run comes from, with intervals, and what to do next.", width)
    yield ""
    yield "usage: python -m mlkit.evaluate [NAME=VALUE …] [options]"
    yield ""
    for line, text in EXAMPLES:
        yield f"python -m mlkit.evaluate {line}"
        yield f"    {text}"
    yield ""
    yield "settings"
    for name, setting in settings_of(EvaluateSettings).items():
        default = f" ({setting.shown_default}; {setting.allowed})"
        yield from textwrap.wrap(f"  {name}: {setting.help}{default}", width, subsequent_indent="      ")
    yield ""
    yield from textwrap.wrap("Without run= all settings of python -m mlkit.train are taken, too.", width)
