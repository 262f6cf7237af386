"""The command `python -m mlkit.search`: settings of a run and of the search, rounds as they end, the result.

Not here: the search (`mlkit.config.searching.job`). Torch and Hydra are imported only when something is composed.
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

from mlkit.config.plugins import import_plugins, named_plugins
from mlkit.config.searching.settings import SearchSettings, split_overrides
from mlkit.config.settings import settings_of
from mlkit.errors import ConfigError, MlkitError

if TYPE_CHECKING:
    from mlkit.config.schema import Config
    from mlkit.config.searching.job import Searched
    from mlkit.search.result import Round
    from mlkit.search.space import Space

EXAMPLES = (
    ("model=mlp data=digits search.budget=64", "64 networks, from wide ranges to the best few"),
    ("data=mnist data.limit=10000 trainer.max_epochs=9", "LeNet on 10,000 images"),
    ("'search.space.optimizer.lr=log(1e-5,1e-1)' 'search.space.trainer.batch_size=choice(16,64)'", "a space of yours"),
    ("search.metric=val/accuracy search.method=random", "another metric, another method"),
)
_RUN_FOLDER = "hydra.run.dir"
_MOST_COLUMNS = 120
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; the process's own when left out.

    Returns:
        The exit code: 0 done, 1 the search failed, 2 the settings cannot be right, 130 interrupted.
    """
    from mlkit.config.command import report_error

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except MlkitError as error:
        return report_error(error)
    except KeyboardInterrupt:
        print("interrupted; the same command with the same hydra.run.dir goes on", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _dispatch(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m mlkit.search", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-cd", "--config-dir")
    options, rest = parser.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        raise ConfigError(
            "unknown option", received=unknown[0], allowed="settings as NAME=VALUE, --help", todo="see --help"
        )
    overrides = [*options.overrides, *rest]
    if options.help:
        print("\n".join(help_lines()))  # noqa: T201
        return 0
    import_plugins(named_plugins(overrides))
    from mlkit.config.compose import composer, extra_folder

    settings, of_run, problems = split_overrides(overrides)
    with composer("train", extra=extra_folder(options.config_dir)) as session:
        composed, found = session.compose(of_run)
    problems += found
    if problems or composed is None:
        raise ConfigError(problems)
    chosen = any(override.lstrip("+").startswith(_RUN_FOLDER) for override in of_run)
    return _search(composed.config, settings, str(composed.hydra.run.dir) if chosen else None, words)


def _search(config: Config, settings: SearchSettings, folder: str | None, words: list[str]) -> int:
    from mlkit.config.run_folder import default_folder
    from mlkit.config.searching.job import claim, search
    from mlkit.config.show import last_line, say

    place = default_folder(f"search-{config.run_name}") if folder is None else Path(folder)
    claim(place)
    found = search(
        config,
        settings,
        folder=place,
        command=["python", "-m", "mlkit.search", *words],
        on_start=lambda config, space, where: _header(config, settings, space, where),
        on_round=_tell_round,
    )
    say("")
    say(str(found.result))
    say("")
    for line in _next(found, named_plugins(words)):
        say(line)
    last_line(found.folder)
    return 0


def _header(config: Config, settings: SearchSettings, space: Space, folder: Path) -> None:
    from mlkit import __version__
    from mlkit.config.run_folder import shown
    from mlkit.config.show import say, say_labelled

    say(f"mlkit {__version__}: search for {config.run_name}, seed {config.seed}")
    budget = f"{settings.budget} configurations of up to {config.trainer.max_epochs} epochs, by {settings.metric}"
    say_labelled("search", f"{settings.method}: {budget}")
    for number, line in enumerate(str(space).splitlines()):
        say(f"{'space' if number == 0 else '':<8}{line}")
    say_labelled("folder", shown(folder))
    say("")


def _tell_round(done: Round) -> None:
    from mlkit.config.show import say

    say(str(done))


def _next(found: Searched, plugins: list[str]) -> Iterator[str]:
    """How to train the best with all other settings of the run, and what was done by what."""
    from mlkit.config.own import own_words

    ways = ", ".join(f"{count} by {name}" for name, count in sorted(found.backends.items()))
    if ways:
        yield f"{found.epochs:,} epochs trained, configurations: {ways}"
    best = found.overrides()
    changed = {word.partition("=")[0] for word in best}
    base = [word for word in own_words(found.config, plugins=plugins) if word.partition("=")[0] not in changed]
    yield "train the best, and judge it on test:"
    yield f"  python -m mlkit.train {shlex.join([*base, *best])}"


def help_lines(*, width: int | None = None) -> Iterator[str]:
    """The page for ``--help``."""
    width = max(40, min(width or shutil.get_terminal_size().columns, _MOST_COLUMNS))
    yield from textwrap.wrap("Search the settings of a run, from wide ranges to the best few, and say why.", width)
    yield ""
    yield "usage: python -m mlkit.search [NAME=VALUE …] [options]"
    yield ""
    for line, text in EXAMPLES:
        yield f"python -m mlkit.search {line}"
        yield f"    {text}"
    yield ""
    yield "search"
    for name, setting in settings_of(SearchSettings).items():
        key = "search.space.NAME" if name == "space" else f"search.{name}"
        default = "" if name == "space" else f" ({setting.shown_default}; {setting.allowed})"
        yield from textwrap.wrap(f"  {key}: {setting.help}{default}", width, subsequent_indent="      ")
    yield ""
    yield from textwrap.wrap("All other settings are those of a run: python -m mlkit.train --help", width)
