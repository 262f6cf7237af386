"""Composition with Hydra: from command-line overrides and YAML files to plain nested values, checked as a whole.

Not here: the check of the values (`mlkit.config.check`) and running anything (`mlkit.config.command`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlkit.config.check import examine, unknown_choice
from mlkit.config.choices import CHOICES, settings_class
from mlkit.config.compose_problems import as_text, plugins_in_files, sweep_without_multirun, unreadable
from mlkit.config.paths import config_dir, user_config_dir
from mlkit.config.resume import resumed_config
from mlkit.config.run_folder import unwritable
from mlkit.config.schema import SECTIONS, TOP_LEVEL, Config, plain
from mlkit.config.trust import hydra_problems
from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.registry import TABLES

T = TypeVar("T")
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


def extra_folder(given: str | None) -> Path | None:
    """The folder of ``--config-dir``.

    Raises:
        ConfigError: there is none.
    """
    if given is None:
        return None
    folder = Path(given).expanduser().resolve()
    if not folder.is_dir():
        raise ConfigError(
            "the folder with choices does not exist", received=f"--config-dir {given}", todo="check the path"
        )
    return folder


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

    def run(self, composed: Composed, job: Callable[..., T]) -> T:
        """Call ``job(config, folder=…)`` as Hydra runs a job, in the folder that it names.

        Raises:
            ConfigError: the folder cannot be made.
        """

        def task(_: DictConfig) -> T | Exception:
            # Hydra would announce an error in its own way; it is raised below instead.
            try:
                return job(composed.config, folder=HydraConfig.get().runtime.output_dir)
            except Exception as error:
                return error

        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            done = hydra.run(self.config_name, task, composed.overrides)
        except OSError as error:
            raise unwritable(str(composed.hydra.run.dir), error) from None
        result: T | Exception = done.return_value
        if isinstance(result, Exception):
            raise result
        return result

    def multirun(self, parsed: Sequence[Override], task: Callable[[DictConfig], Any]) -> tuple[Path, list[JobReturn]]:
        """Hand the overrides, sweeps included, to Hydra's sweeper; the folder of the sweep and what its jobs returned.

        Sweepers that optimise return no jobs.
        """
        lines, folder = self._sweep_lines(list(parsed))
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        returned = hydra.multirun(self.config_name, task, lines)
        jobs = [job for batch in returned or [] for job in (batch if isinstance(batch, (list, tuple)) else [batch])]
        return folder, [job for job in jobs if isinstance(job, JobReturn)]

    def _sweep_lines(self, parsed: list[Override]) -> tuple[list[str], Path]:
        """The overrides of a sweep as Hydra takes them, and the folder of the sweep."""
        first, _ = self.parse(jobs_of(parsed)[0])
        choices, _ = self._choices(first, [])
        base = self._hydra_compose(choices)
        if isinstance(base, Problem):
            raise ConfigError([base])
        lines = choices[: len(self.searchpath)]
        for override in parsed:
            if override.is_hydra_override() or override.key_or_group in GROUPS:
                lines += [] if override.key_or_group == "hydra.searchpath" else [override.input_line or ""]
            else:
                lines += self._writable([override], base)
        folder = str(base.hydra.sweep.dir)
        if not any(override.key_or_group == "hydra.sweep.dir" for override in parsed):
            lines.append(f"hydra.sweep.dir={quoted(folder)}")  # it holds the time, which goes on
        return lines, Path(folder)

    def options(self, group: str) -> list[str]:
        """Names that can be chosen in a group, from all folders and registrations."""
        loader = GlobalHydra.instance().config_loader()
        found: list[str] = loader.get_group_options(
            group, ObjectType.CONFIG, config_name=self.config_name, overrides=self.searchpath
        )
        return sorted(found)

    def compose(self, overrides: Sequence[str]) -> tuple[Composed | None, list[Problem]]:
        """Compose one job; the settings, and everything that is wrong."""
        parsed, problems = self.parse(overrides)
        folder = next((override.value() for override in parsed if override.key_or_group == "resume"), None)
        if folder is not None:
            return self._resumed(str(folder), parsed, problems)
        choices, values = self._choices(parsed, problems)
        base = self._hydra_compose(choices)
        if isinstance(base, Problem):
            return None, [*problems, base]
        problems += plugins_in_files(base)
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

    def _resumed(
        self, folder: str, parsed: list[Override], problems: list[Problem]
    ) -> tuple[Composed | None, list[Problem]]:
        """The settings that stand in the folder of the run, with what the command line changes."""
        base = self._hydra_compose([*self.searchpath, *_lines_for(parsed, "tracking")])
        if isinstance(base, Problem):
            return None, [*problems, base]
        changes: dict[str, Any] = {}
        for override in parsed:
            name = override.key_or_group
            if name == "tracking":
                changes[name] = OmegaConf.to_container(base.tracking, resolve=True)
            elif name != "resume":
                changes[name] = override.value()
        config, found = resumed_config(folder, changes)
        return Composed(config, base.hydra, []), problems + found

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
            return None, [*problems, unreadable(error, "a setting refers to something that is not there")]
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
                try:
                    parsed.append(parser.parse_override(as_text(line)))
                except HydraException:
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
                problems.append(sweep_without_multirun(override))
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
        """Value overrides as Hydra takes them, whether or not a file has the key; the check judges the key."""
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
            return unreadable(error, "the configuration cannot be composed")

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


def _lines_for(parsed: list[Override], group: str) -> list[str]:
    return [override.input_line or "" for override in parsed if override.key_or_group == group]


def _has(config: DictConfig, path: str) -> bool:
    """Whether the composed configuration has this key, whatever its value."""
    node: Any = config
    for key in path.split("."):
        if not isinstance(node, DictConfig) or key not in node:
            return False
        node = node._get_node(key)
    return True
