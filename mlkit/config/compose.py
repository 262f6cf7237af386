"""Composition with Hydra: from command-line overrides and YAML files to plain nested values, checked as a whole.

Not here: the check of the values (`mlkit.config.check`) and running anything (`mlkit.config.command`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlkit.config.check import examine, unknown_choice
from mlkit.config.choices import CHOICES, settings_class
from mlkit.config.paths import config_dir, user_config_dir
from mlkit.config.schema import SECTIONS, TOP_LEVEL, Config, plain
from mlkit.config.trust import hydra_problems
from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.registry import TABLES

GROUPS = ("model", "data", *SECTIONS, "experiment")
VERSION_BASE = "1.3"
# Beyond this many jobs each value of a sweep is checked once instead of in every combination with the others.
MOST_COMBINATIONS = 64
_UNREADABLE = (HydraException, OmegaConfBaseException, yaml.YAMLError)


@dataclass(frozen=True)
class Composed:
    """What came of one set of overrides.

    Args:
        config: the checked settings.
        hydra: Hydra's own settings, with the folder of the run.
        overrides: the overrides as Hydra has to be given them.
        choices: chosen name by group.
    """

    config: Config
    hydra: DictConfig
    overrides: list[str]
    choices: dict[str, Any] = field(default_factory=dict)


def config_from_overrides(overrides: Sequence[str] = ()) -> Config:
    """The configuration that the command line would make of ``overrides``.

    Raises:
        ConfigError: with every mistake.

    >>> config_from_overrides(["model=mlp", "optimizer.lr=1e-3"]).optimizer.lr
    0.001
    """
    with composer() as session:
        composed, problems = session.compose(overrides)
    if problems or composed is None:
        raise ConfigError(problems)
    return composed.config


@contextmanager
def composer(
    config_name: str = "train", *, folder: Path | None = None, extra: Path | None = None
) -> Iterator[Composer]:
    """A session with Hydra; afterwards Hydra's process-wide state is as before.

    Args:
        config_name: the primary configuration.
        folder: where it is; mlkit's own folder when left out.
        extra: a folder that adds choices; ``./configs`` when left out.
    """
    register_nodes()
    extra = extra or user_config_dir()
    with initialize_config_dir(str(folder or config_dir()), job_name="train", version_base=VERSION_BASE):
        searchpath = [] if extra is None else [f"hydra.searchpath=[{quoted('file://' + str(extra))}]"]
        yield Composer(config_name, searchpath)


def register_nodes() -> None:
    """Make the schema's defaults known to Hydra: ``/schema/…`` for YAML files, and the names the user registered."""
    store = ConfigStore.instance()
    for kind, choices in CHOICES.items():
        for name, settings in choices.items():
            store.store(group=f"schema/{kind}", name=name, node=plain(settings(name=name)))
        for name in TABLES[kind].added():
            store.store(group=kind, name=name, node=plain(settings_class(kind, name)(name=name)))
    for section, settings in SECTIONS.items():
        store.store(group="schema", name=section, node=plain(settings()))
    top = Config().to_dict()
    store.store(group="schema", name="run", node={key: top[key] for key in TOP_LEVEL if key != "experiment"})


def quoted(value: str) -> str:
    """``value`` as Hydra reads it back unchanged."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Composer:
    """Composes and checks overrides; made by `composer`."""

    def __init__(self, config_name: str, searchpath: list[str]) -> None:
        self.config_name = config_name
        self.searchpath = searchpath

    def options(self, group: str) -> list[str]:
        """Names that can be chosen in a group, from all folders and registrations."""
        loader = GlobalHydra.instance().config_loader()
        found: list[str] = loader.get_group_options(  # type: ignore[call-arg]
            group, ObjectType.CONFIG, config_name=self.config_name, overrides=self.searchpath
        )
        return sorted(found)

    def compose(self, overrides: Sequence[str]) -> tuple[Composed | None, list[Problem]]:
        """Compose one job; the settings, and everything that is wrong."""
        parsed, problems = self.parse(overrides)
        choices, values = self._choices(parsed, problems)
        base = self._hydra_compose(choices)
        if isinstance(base, Problem):
            return None, [*problems, base]
        problems += _plugins_in_files(base)
        lines = self._writable(values, base)
        composed = self._hydra_compose([*choices, *lines])
        if isinstance(composed, Problem):
            lines, found = self._without_culprits(choices, lines)
            problems += found or [composed]
            composed = self._hydra_compose([*choices, *lines])
            if isinstance(composed, Problem):
                return None, problems
        result, found = self._examined(composed, [*choices, *lines], parsed)
        return result, problems + found

    def _examined(
        self, composed: DictConfig, lines: list[str], parsed: list[Override]
    ) -> tuple[Composed | None, list[Problem]]:
        hydra = composed.hydra
        own_callbacks = any(override.key_or_group.startswith("hydra.callbacks") for override in parsed)
        problems = hydra_problems(hydra, callbacks_allowed=own_callbacks)
        try:
            own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
            values = OmegaConf.to_container(own, resolve=True)
        except OmegaConfBaseException as error:
            return None, [*problems, _unreadable(error, "a setting refers to something that is not there")]
        assert isinstance(values, dict)
        choices = dict(hydra.runtime.choices)
        values.setdefault("experiment", choices.get("experiment"))
        config, found = examine({str(key): value for key, value in values.items()})
        return Composed(config, hydra, lines, choices), problems + found

    def parse(self, overrides: Sequence[str]) -> tuple[list[Override], list[Problem]]:
        """The overrides as Hydra understands them; those that cannot be read become problems."""
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        parsed, problems = [], []
        for line in overrides:
            try:
                parsed.append(parser.parse_override(line))
            except HydraException as error:
                problems.append(self._unparsed(line, error))
        return parsed, problems

    def _unparsed(self, line: str, error: HydraException) -> Problem:
        if "=" not in line:
            groups = [group for group in GROUPS if line in self.options(group)]
            todo = f"did you mean {groups[0]}={line}?" if groups else "write it as name=value"
            return Problem(f"not a setting: '{line}'", received=line, allowed="name=value", todo=todo)
        for left, right in ("[]", "{}", "()"):
            if line.count(left) != line.count(right):
                todo = f"the brackets {left}{right} do not match; mind that the shell sees them too, so quote: '{line}'"
                return Problem(f"the setting cannot be read: {line}", received=line, allowed="name=value", todo=todo)
        detail = str(error).splitlines()[0]
        todo = f"quote a value with special characters twice: {line.partition('=')[0]}='\"…\"'"
        return Problem(f"the setting cannot be read: {detail}", received=line, allowed="name=value", todo=todo)

    def _choices(self, parsed: list[Override], problems: list[Problem]) -> tuple[list[str], list[Override]]:
        """Group choices and Hydra's own overrides, the unknown ones taken out; and the value overrides."""
        choices, values = list(self.searchpath), []
        for override in parsed:
            key = override.key_or_group
            if override.is_sweep_override() and not override.is_hydra_override():
                problems.append(_sweep_without_multirun(override))
            elif key in GROUPS:
                self._choose(override, choices, problems)
            elif override.is_hydra_override():
                if not key.startswith("hydra.searchpath") or not self.searchpath:
                    choices.append(override.input_line or "")
                else:
                    choices[0] = self._joined_searchpath(override)
            else:
                values.append(override)
        return choices, values

    def _choose(self, override: Override, choices: list[str], problems: list[Problem]) -> None:
        group, value = override.key_or_group, override.value()
        if override.is_delete() or (value is None and group == "experiment"):
            choices.append(override.input_line or "")
            return
        if not isinstance(value, str):
            what = f"{group} has to be chosen by name"
            allowed = ", ".join(self.options(group))
            todo = f"choose one of these, then set {group}.…"
            problems.append(Problem(what, received=override.input_line, allowed=allowed, todo=todo))
            return
        name = value.removesuffix(".yaml")
        known = self.options(group)
        if name in known:
            package = f"@{override.package}" if override.package else ""
            choices.append(f"{group}{package}={value}")
        else:
            problems.append(self._unknown(group, name, known))

    def _unknown(self, group: str, name: str, known: list[str]) -> Problem:
        problem = unknown_choice(group, name, tuple(known))
        others = [other for other in GROUPS if other != group and name in self.options(other)]
        if others and did_you_mean(name, known) is None:
            return Problem(problem.what, problem.received, problem.allowed, f"did you mean {others[0]}={name}?")
        return problem

    def _joined_searchpath(self, override: Override) -> str:
        own = override.value()
        folders = [*(own if isinstance(own, list) else []), self.searchpath[0].partition("['")[2].rstrip("]'")]
        return f"hydra.searchpath=[{', '.join(quoted(str(folder)) for folder in folders)}]"

    def _writable(self, values: list[Override], base: DictConfig) -> list[str]:
        """Value overrides as Hydra takes them, whether or not a thin YAML file has the key; the check judges the key."""
        lines = []
        for override in values:
            line = (override.input_line or "").lstrip("+")
            if override.is_delete() or _has(base, override.key_or_group):
                lines.append(line)
            else:
                lines.append(f"++{line}")
        return lines

    def _hydra_compose(self, overrides: list[str]) -> DictConfig | Problem:
        try:
            return compose(self.config_name, overrides=overrides, return_hydra_config=True)
        except _UNREADABLE as error:
            return _unreadable(error, "the configuration cannot be composed")

    def _without_culprits(self, choices: list[str], lines: list[str]) -> tuple[list[str], list[Problem]]:
        """The lines that can be composed one by one, and a problem for each of the others."""
        fine, problems = [], []
        for line in lines:
            outcome = self._hydra_compose([*choices, line])
            if isinstance(outcome, Problem):
                problems.append(Problem(outcome.what, received=line, todo=outcome.todo))
            else:
                fine.append(line)
        return fine, problems


def jobs_of(overrides: list[Override]) -> list[list[str]]:
    """The jobs of a sweep as lists of overrides: all combinations, or each value once where these are too many."""
    axes = [_axis(override) for override in overrides]
    count = 1
    for axis in axes:
        count *= len(axis)
    if count <= MOST_COMBINATIONS:
        return [list(job) for job in itertools.product(*axes)]
    first = [axis[0] for axis in axes]
    singles = [[*first[:i], value, *first[i + 1 :]] for i, axis in enumerate(axes) for value in axis[1:]]
    return [first, *singles]


def _axis(override: Override) -> list[str]:
    if not override.is_sweep_override() or override.is_hydra_override():
        return [override.input_line or ""]
    key = override.get_key_element()
    if override.is_discrete_sweep():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    interval: Any = override.value()
    return [f"{key}={interval.start}", f"{key}={interval.end}"]


def _sweep_without_multirun(override: Override) -> Problem:
    key = override.key_or_group
    value = (override.input_line or "").partition("=")[2]
    return Problem(
        f"several values for {key}",
        received=override.input_line,
        allowed="one value, or a list in brackets",
        todo=f"add -m to run one job for each, or write {key}=[{value}] for a list",
    )


def _has(config: DictConfig, path: str) -> bool:
    """Whether the composed configuration has this key, whatever its value."""
    node: Any = config
    for key in path.split("."):
        if not isinstance(node, DictConfig) or key not in node:
            return False
        node = node._get_node(key)
    return True


def _plugins_in_files(base: DictConfig) -> list[Problem]:
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


def _unreadable(error: Exception, what: str) -> Problem:
    """An error of Hydra, OmegaConf or YAML as a problem; their own text is the received part."""
    cause = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "hydra.cc" not in line]
    if cause is not None and str(cause) not in str(error):
        lines += [line.strip() for line in str(cause).splitlines()[:1] if line.strip()]
    return Problem(what, received="; ".join(lines[:4]), todo="correct the file or the setting that this names")
