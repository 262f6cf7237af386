"""The settings of a finished run as they are typed: the fewest words that make the same run once more.

Not here: what is changed in them (`mlkit.config.evaluating.ways`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mlkit.config.compose import composer
from mlkit.config.schema import SECTIONS, Config
from mlkit.errors import ConfigError
from mlkit.runtime.nested import dotted

# The folder, its name and what was resumed are this run's alone; an experiment is the settings that it stands for.
_NOT_REPEATED = ("name", "resume", "experiment", "plugins")
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*|(?=.*[A-Za-z_])[\w./-]+")
_READ_AS_OTHERS = re.compile(r"(?i)true|false|null|nan|inf|\d[\d_]*(e\d+)?")


def own_words(config: Config, *, plugins: Sequence[str] = ()) -> list[str]:
    """What to write after ``python -m mlkit.train`` to have the settings of ``config`` again.

    Model and data are always named; of all else only what differs from what they bring with them, choices that stand in
    ``./configs`` included.

    Args:
        config: of the run.
        plugins: modules that its model or data come from.

    Raises:
        ConfigError: settings that are no more known.

    >>> own_words(Config.from_overrides(["model=mlp", "model.hidden=[16]", "optimizer.lr=1e-2", "seed=3"]))
    ['model=mlp', 'data=digits', 'model.hidden=[16]', 'optimizer.lr=0.01', 'seed=3']
    """
    words = [f"model={config.model.name}", f"data={config.data.name}"]
    if plugins:
        words.insert(0, f"plugins={typed(list(plugins))}")
    usual = Config()
    for group in SECTIONS:
        name = getattr(getattr(config, group), "name", None)
        if name is not None and name != getattr(usual, group).name:
            words.append(f"{group}={name}")
    with composer("train") as session:
        composed, problems = session.compose(words)
    if composed is None:
        raise ConfigError(problems)
    # Problems are of settings that have no default, such as the file of a table: they are among the differences.
    given = _repeated(composed.config)
    changed = [key for key, value in _repeated(config).items() if key not in given or given[key] != value]
    return [*words, *(f"{key}={typed(_repeated(config)[key])}" for key in changed)]


def typed(value: Any) -> str:
    """A value as the command line reads it back, before the shell's own quotes.

    >>> typed(None), typed([16, 0.5]), typed("val/loss"), typed("1e3"), typed("a b")
    ('null', '[16,0.5]', 'val/loss', '"1e3"', '"a b"')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(typed(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and not _READ_AS_OTHERS.fullmatch(value)):
        return _quoted(value)
    return str(value)


def _quoted(value: str) -> str:
    """In double quotes, since the shell's own are single ones; a backslash counts only before a quote."""
    return '"' + re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), value) + '"'


def _repeated(config: Config) -> dict[str, Any]:
    values = {key: value for key, value in config.to_dict().items() if key not in _NOT_REPEATED}
    return {key: value for key, value in dotted(values).items() if key not in ("model.name", "data.name")}
