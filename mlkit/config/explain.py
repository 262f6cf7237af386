"""The help of `python -m mlkit.train`: what can be chosen and every setting, from the one list of settings.

Not here: the settings (`mlkit.config.schema`, `mlkit.config.choices`). Nothing here imports torch or Hydra.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from mlkit.config.choices import CHOICES, known_names, settings_class
from mlkit.config.paths import choices_on_disk
from mlkit.config.schema import SECTIONS, TOP_LEVEL, Config
from mlkit.config.settings import Setting, settings_of, shown
from mlkit.registry import Kind

EXAMPLES = (
    ("", "handwritten digits with LeNet, in seconds"),
    ("data=mnist model=resnet20 trainer.max_epochs=5", "other data, another model"),
    ("data=csv data.path=table.csv data.target=price", "a table of yours"),
    ("experiment=lenet_mnist seed=1", "settings known to work together"),
    ("-m optimizer.lr=1e-3,3e-4 seed=0,1", "four runs, one for each combination"),
    ("resume=outputs/2026-01-31/12-00-00-000000-auto-digits", "go on with a run"),
    ("model=lstm data=names --help", "the settings of a model and of a data set"),
)
OPTIONS = (
    ("-h, --help", "this page; with model=NAME or data=NAME their settings too"),
    ("-m, --multirun", "several values for a setting (lr=1e-3,3e-4): one run for each combination"),
    ("-c, --cfg job|hydra|all", "print the settings instead of running"),
    ("-p, --package NAME", "with --cfg: only this part, such as optimizer"),
    ("-i, --info [TOPIC]", "how Hydra composed the settings: all, defaults, plugins, searchpath …"),
    ("-cd, --config-dir DIR", "a folder with choices of yours; ./configs is always looked into"),
    ("-cn, --config-name NAME", "another primary file than train.yaml"),
    ("-sc, --shell-completion", 'completion for your shell: eval "$(python -m mlkit.train -sc install=bash)"'),
    ("--hydra-help", "Hydra's own help"),
    ("--version", "versions of mlkit and of what it runs on"),
)
_MOST_COLUMNS = 120


def help_text(choices: dict[str, str] | None = None, *, width: int | None = None) -> str:
    """The page for ``--help``.

    Args:
        choices: names chosen on the command line by group; their settings are shown.
        width: columns; those of the terminal when left out.
    """
    width = max(40, min(width or shutil.get_terminal_size().columns, _MOST_COLUMNS))
    return "\n".join(_lines(choices or {}, width)) + "\n"


def _lines(choices: dict[str, str], width: int) -> Iterator[str]:
    yield from textwrap.wrap("Train a model from settings, and get a verdict with intervals.", width)
    yield ""
    yield "usage: python -m mlkit.train [NAME=VALUE …] [options]"
    yield ""
    yield from _pairs([(f"python -m mlkit.train {line}".rstrip(), text) for line, text in EXAMPLES], width, column=1)
    yield ""
    yield "CHOICES (GROUP=NAME)"
    yield from _pairs([(group, ", ".join(names)) for group, names in _groups()], width)
    yield ""
    yield "SETTINGS (NAME=VALUE, with the defaults)"
    top = settings_of(Config)
    yield from _settings("", [top[name] for name in TOP_LEVEL], width)
    for kind in ("model", "data"):
        yield from _chosen(kind, choices.get(kind), width)
    for name, section in SECTIONS.items():
        yield ""
        yield from _indented(str(section.__doc__), width)
        yield from _settings(f"{name}.", list(settings_of(section).values()), width)
    yield ""
    yield "OPTIONS"
    yield from _pairs(OPTIONS, width)
    yield ""
    yield from textwrap.wrap(
        "Exit code: 0 the run ended as planned, 1 it failed, 2 the settings cannot be right, 130 interrupted. "
        "Documentation: docs/training.md.",
        width,
    )


def _groups() -> Iterator[tuple[str, list[str]]]:
    for kind in CHOICES:
        yield kind, sorted({*known_names(kind), *choices_on_disk(kind)}, key=_auto_first)
    for group in (*SECTIONS, "experiment"):
        yield group, choices_on_disk(group)


def _auto_first(name: str) -> tuple[bool, str]:
    return name != "auto", name


def _chosen(kind: Kind, name: str | None, width: int) -> Iterator[str]:
    """The settings of the chosen model or data set; of the default one when none is chosen."""
    name = name or str(getattr(Config(), kind).name)
    if name not in known_names(kind):
        return
    section = settings_class(kind, name)
    entries = [entry for entry in settings_of(section).values() if entry.name != "name"]
    title = (section.__doc__ or "").strip().splitlines()
    yield ""
    yield from _indented(f"{kind}={name}: {title[0] if title else ''}".rstrip(": "), width)
    yield from _settings(f"{kind}.", entries, width)
    if not entries:
        yield from _indented(f"  (no settings; {kind}=NAME --help shows those of another one)", width)


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _settings(prefix: str, entries: Sequence[Setting], width: int) -> Iterator[str]:
    yield from _pairs([(f"{prefix}{entry.name}={_value(entry)}", _help(entry)) for entry in entries], width, margin=4)


def _value(entry: Setting) -> str:
    value: Any = entry.default
    if value is None and entry.example is None:
        return "null"
    return shown(value)


def _help(entry: Setting) -> str:
    text = entry.help or entry.allowed
    if entry.default is None and entry.example is not None:
        text += f" (e.g. {entry.example})"
    elif "Literal" in str(entry.type):
        text += f" ({entry.allowed})"
    return text


def _pairs(
    pairs: Sequence[tuple[str, str]], width: int, *, margin: int = 2, column: int | None = None
) -> Iterator[str]:
    """Two columns; the second starts where most of the first fit, and is folded under itself."""
    longest = max((len(first) for first, _ in pairs), default=0)
    start = margin + min(longest, 34 if column is None else longest) + 2
    if width - start < 20:  # too narrow for two columns
        start = margin + 4
    for first, second in pairs:
        head = " " * margin + first
        folded = textwrap.wrap(second, max(20, width - start), break_on_hyphens=False) or [""]
        if len(head) + 2 > start:
            yield head
            yield from (" " * start + line for line in folded)
        else:
            yield f"{head:<{start}}{folded[0]}"
            yield from (" " * start + line for line in folded[1:])
