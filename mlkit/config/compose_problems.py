"""What Hydra, OmegaConf and YAML complain of, and what they would let pass, as problems in four parts.

Not here: composing (`mlkit.config.compose`).
"""

from __future__ import annotations

import re

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mlkit.errors import Problem

_CALL = re.compile(r"\w+\([^()]*\)")
_BRACKETS = re.compile(r"[\[\]{}()]")


def sweep_without_multirun(override: Override) -> Problem:
    """Several values for a setting in a single run."""
    key = override.key_or_group
    value = (override.input_line or "").partition("=")[2]
    return Problem(
        f"several values for {key}",
        received=override.input_line,
        allowed="one value, or a list in brackets",
        todo=f"add -m to run one job for each, or write {key}=[{value}] for a list",
    )


def plugins_in_files(base: DictConfig) -> list[Problem]:
    """Modules to import that a file names."""
    named = OmegaConf.select(base, "plugins")
    if not named:
        return []
    return [
        Problem(
            "a configuration file names plugins, and no file may decide what is imported",
            received=f"plugins: {named}",
            allowed="plugins on the command line only",
            todo=f"take it out of the file and run with plugins=[{','.join(map(str, named))}]",
        )
    ]


def unreadable(error: Exception, what: str) -> Problem:
    """An error of Hydra, OmegaConf or YAML as a problem; their own text is the received part."""
    cause = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "hydra.cc" not in line]
    if cause is not None and str(cause) not in str(error):
        lines += [line.strip() for line in str(cause).splitlines()[:1] if line.strip()]
    return Problem(what, received="; ".join(lines[:4]), todo="correct the file or the setting that this names")


def as_text(line: str) -> str:
    """An override that Hydra cannot read with its value quoted, or the items of its list that have parentheses.

    >>> as_text("trainer.target=val/accuracy>=0.9")
    "trainer.target='val/accuracy>=0.9'"
    >>> as_text("data.augment=[flip,crop(4, fill=edge)]")
    "data.augment=[flip,'crop(4, fill=edge)']"
    """
    key, equals, value = line.partition("=")
    if not equals or re.fullmatch(r"[+~]*[\w./@]+", key) is None or "'" in value:
        return line
    if value.startswith("[") and value.endswith("]"):
        return f"{key}=[{_CALL.sub(lambda found: repr(found[0]), value[1:-1])}]"
    return line if _BRACKETS.search(value) else f"{key}='{value}'"
