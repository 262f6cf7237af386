"""The command `python -m mlkit.train`: options, composition, one run or many, and exit codes.

Not here: the run (`mlkit.config.job`). Torch and Hydra are imported only when something is composed or trained, so that
help comes at once.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from mlkit.config.plugins import import_plugins, named_plugins
from mlkit.errors import ConfigError, MlkitError, did_you_mean

if TYPE_CHECKING:
    from mlkit.config.compose import Composed, Composer

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; the process's own when left out.

    Returns:
        The exit code: 0 done, 1 the run failed, 2 the settings cannot be right, 130 interrupted (143 by SIGTERM).
    """
    before, warnings.formatwarning = warnings.formatwarning, _note
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except MlkitError as error:
        return report_error(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    finally:
        warnings.formatwarning = before


def _note(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """A warning that is meant for people as a note, without the place in the code that it came from."""
    if category is UserWarning:
        return f"note: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def report_error(error: MlkitError) -> int:
    """Tell a mistake on standard error, without a stack trace; returns the exit code."""
    count = len(error.problems)
    red, plain = ("\033[1;31m", "\033[0m") if _coloured() else ("", "")
    head = f"{red}error:{plain} "
    text = f"{count} mistakes\n\n" + "\n\n".join(map(str, error.problems)) if count > 1 else str(error)
    print(f"{head}{text}", file=sys.stderr)  # noqa: T201
    if error.folder is not None:
        from mlkit.config.show import last_line

        last_line(error.folder)
    return error.exit_code


def _coloured() -> bool:
    import os

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Parser(argparse.ArgumentParser):
    """Options in the manner of Hydra; what is wrong becomes a `ConfigError`."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, allowed="settings as NAME=VALUE, and the options of --help", todo="see --help")

    def refuse(self, option: str) -> NoReturn:
        """An option that does not exist; often a setting written in the manner of other programs."""
        from mlkit.config.check import closest_setting

        key = option.lstrip("-").partition("=")[0].replace("-", "_")
        raise ConfigError(
            "unknown option",
            received=option,
            allowed="settings as NAME=VALUE, and the options of --help",
            todo=closest_setting(key) or did_you_mean(option, self.known()) or "--help lists what there is",
        )

    def known(self) -> list[str]:
        return list(self._option_string_actions)


def _parser() -> _Parser:
    parser = _Parser(prog="python -m mlkit.train", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    for names in (("-h", "--help"), ("-m", "--multirun"), ("-r", "--run"), ("-sc", "--shell-completion")):
        parser.add_argument(*names, action="store_true")
    for name in ("--hydra-help", "--version", "--resolve"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job", "hydra", "all"])
    parser.add_argument("-p", "--package")
    topics = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("-i", "--info", const="all", nargs="?", choices=topics)
    parser.add_argument("-cn", "--config-name", default="train")
    parser.add_argument("-cd", "--config-dir")
    return parser


def _dispatch(arguments: list[str]) -> int:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        parser.refuse(unknown[0])
    overrides = [*options.overrides, *rest]
    if options.version:
        return _version()
    import_plugins(named_plugins(overrides))
    if options.help:
        return _help(overrides)
    from mlkit.config.compose import composer, extra_folder

    with composer(options.config_name, extra=extra_folder(options.config_dir)) as session:
        if options.hydra_help or options.info or options.shell_completion or options.cfg in ("hydra", "all"):
            return _hydra_itself(session, options, overrides)
        if options.multirun:
            from mlkit.config.multirun import run_all

            return run_all(session, overrides)
        composed = _one(session, overrides)
        if options.cfg:
            return _print_config(composed, options.package)
        return _run(session, composed, overrides)


def _version() -> int:
    from mlkit.runtime.hardware import versions

    print(", ".join(f"{name} {version}" for name, version in versions().items()))  # noqa: T201
    return 0


def _help(overrides: Sequence[str]) -> int:
    from mlkit.config.explain import help_text

    pairs = (line.partition("=") for line in overrides)
    print(help_text({key.lstrip("+"): value for key, _, value in pairs}), end="")  # noqa: T201
    return 0


def _one(session: Composer, overrides: Sequence[str]) -> Composed:
    composed, problems = session.compose(overrides)
    if problems or composed is None:
        raise ConfigError(problems)
    return composed


def _print_config(composed: Composed, package: str | None) -> int:
    import yaml

    values: Any = composed.config.to_dict()
    for key in (package or "").split("."):
        if not key:
            continue
        if not isinstance(values, dict) or key not in values:
            known = list(values) if isinstance(values, dict) else []
            raise ConfigError(
                "there is no such part",
                received=f"--package {package}",
                allowed=", ".join(known),
                todo=did_you_mean(key, known),
            )
        values = values[key]
    print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), end="")  # noqa: T201
    return 0


def _hydra_itself(session: Composer, options: argparse.Namespace, overrides: list[str]) -> int:
    """What Hydra shows of itself."""
    from hydra._internal.utils import get_args_parser
    from hydra.core.global_hydra import GlobalHydra

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    name, lines = options.config_name, [*session.searchpath, *overrides]
    if options.hydra_help:
        parser = get_args_parser()
        hydra.hydra_help(name, args_parser=parser, args=parser.parse_args(["--hydra-help"]))
    elif options.shell_completion:
        hydra.shell_completion(name, overrides)
    elif options.info:
        hydra.show_info(options.info, name, lines)
    else:
        hydra.show_cfg(name, _one(session, overrides).overrides, options.cfg, options.package, options.resolve)
    return 0


def _run(session: Composer, composed: Composed, overrides: Sequence[str]) -> int:
    """One run: in the folder that Hydra names, or on in that of an earlier one."""
    from mlkit.config.job import run
    from mlkit.config.show import closing, last_line

    goes_on = composed.config.resume is not None
    result = run(composed.config) if goes_on else session.run(composed, run)
    if composed.config.tracking.console:
        closing(result, overrides)
    last_line(result.folder)
    signal = result.fit.state.signal
    return 0 if signal is None else 128 + signal
