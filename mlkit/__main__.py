"""The console script `mlkit`, and `python -m mlkit`: one word chooses the command.

Not here: the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from mlkit.errors import did_you_mean

COMMANDS = {
    "train": ("mlkit.config.command", "train a model from settings"),
    "debug": ("mlkit.config.debugging.command", "tell why a model does not fit one batch, and what cures it"),
    "evaluate": ("mlkit.config.evaluating.command", "tell where the error of a run comes from"),
    "search": ("mlkit.config.searching.command", "search the settings of a run"),
    "watch": ("mlkit.debug.command", "run any PyTorch program and find what is wrong with its training"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first word names; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())  # noqa: T201
        return 0 if words else 2
    if words[0] == "--version":
        from mlkit import __version__

        print(f"mlkit {__version__}")  # noqa: T201
        return 0
    if words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS) or "; ".join(f"mlkit {name}" for name in COMMANDS)
        print(f"error: unknown command\n  received: {words[0]}\n  to do:    {hint}", file=sys.stderr)  # noqa: T201
        return 2
    command: Callable[[Sequence[str]], int] = import_module(COMMANDS[words[0]][0]).main
    return command(words[1:])


def _usage() -> str:
    lines = [f"  mlkit {name:<8}{text} (mlkit {name} --help)" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: mlkit COMMAND [NAME=VALUE …] [options]", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
