"""What a program is made of, as plain values: parameters, optimisers, models, loaders, schedulers.

Not here: what happened to them (`facts_events`), and any judgement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mlkit.debug.sites import Site


@dataclass
class ParameterFacts:
    """One parameter of a model that was called, or held by an optimiser.

    Args:
        key: its number; the key of all per-parameter values in `StepFacts`.
        name: ``Net.layers.0.weight``; "" for one that belongs to no module that was called.
        shape: its shape.
        trainable: ``requires_grad`` when first seen.
        module_kind: class name of the module that owns it, such as "Linear".
        site: the line that made that module, where it is known.
        is_loaded: whether a state dictionary gave it its value.
        joined_at: the line that put its module into a model after an optimiser had been made; None else.
    """

    key: int
    name: str
    shape: tuple[int, ...]
    trainable: bool
    module_kind: str = ""
    site: Site | None = None
    is_loaded: bool = False
    joined_at: Site | None = None


@dataclass
class OptimizerFacts:
    """An optimiser: its kind, where it was made, and what it holds.

    Args:
        key: its number.
        kind: class name.
        site: the line that made it.
        made_at_step: how many optimiser steps the program had taken by then.
        parameters: keys of what it holds, when it first stepped.
        groups: settings of each group (lr, momentum, weight_decay, betas …) when it first stepped.
        steps: how many it took.
        same_parameters_as: key of an earlier optimiser that held (mostly) the same parameters, or None.
        stack: the user's lines that led to its construction, innermost first.
        last_step: the last step that it took, counted over all optimisers; None where it took none.
        holds: keys of all that it held at any backward or step that was looked at, also before its first step.
        goes_on: whether the weights it holds are those that an earlier optimiser left, unwritten since.
    """

    key: int
    kind: str
    site: Site | None
    made_at_step: int
    parameters: list[int] = field(default_factory=list)
    groups: list[dict[str, object]] = field(default_factory=list)
    steps: int = 0
    same_parameters_as: int | None = None
    stack: tuple[Site, ...] = ()
    last_step: int | None = None
    holds: set[int] = field(default_factory=set)
    goes_on: bool = False


@dataclass
class ModelFacts:
    """A module with parameters that the user's code called itself.

    Args:
        key: its number.
        kind: class name.
        site: the line that made it.
        parameters: keys of its parameters.
        mode_sensitive: kinds of its modules that behave differently in evaluation ("Dropout", "BatchNorm2d").
        is_part_of: key of a model called earlier that holds it as a submodule, or None.
        copy_of: key of the model that it is a deep copy of, or None.
        copy_site: the line that copied it.
        has_moved: whether its parameters changed between its first call (its copying, if it is a copy) and the end.
    """

    key: int
    kind: str
    site: Site | None
    parameters: list[int] = field(default_factory=list)
    mode_sensitive: tuple[str, ...] = ()
    is_part_of: int | None = None
    copy_of: int | None = None
    copy_site: Site | None = None
    has_moved: bool = False


@dataclass
class LoaderFacts:
    """A DataLoader.

    Args:
        key: its number.
        site: the line that made it.
        batch_size: or None.
        sampler: class name of its sampler.
        shuffles: whether its order is random; None where it cannot be known (an iterable, an own batch sampler).
        length: items in its data set; None where unknown.
        dataset: class name.
        dataset_key: number of the data set object; two loaders with one number read one object.
        workers: worker processes.
        passes: how often an iteration began, with the step of each.
        role: "train" when its batches are followed by backward, "eval" when not; None while unknown.
        stack: the user's lines that led to its construction, innermost first.
    """

    key: int
    site: Site | None
    batch_size: int | None
    sampler: str
    shuffles: bool | None
    length: int | None
    dataset: str
    dataset_key: int
    workers: int = 0
    passes: list[int] = field(default_factory=list)
    role: Literal["train", "eval"] | None = None
    stack: tuple[Site, ...] = ()


@dataclass
class SchedulerFacts:
    """A learning-rate scheduler.

    Args:
        key: its number.
        kind: class name.
        site: the line that made it.
        optimizer: key, or None.
        settings: plain settings (step_size, gamma, T_max, total_steps, milestones …).
        steps: (optimiser steps taken, learning rate after) of each call of ``step``, thinned after a hundred.
        step_site: the line that steps it.
        calls: how often it was stepped.
    """

    key: int
    kind: str
    site: Site | None
    optimizer: int | None
    settings: dict[str, object] = field(default_factory=dict)
    steps: list[tuple[int, float]] = field(default_factory=list)
    step_site: Site | None = None
    calls: int = 0
