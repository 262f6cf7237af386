"""What observation and probes hand to judgement: plain values only, so that a rule is a pure function of them.

Not here: live tensors and modules (`mlkit.debug.scene`), and any judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
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
class BackwardFacts:
    """One call of backward.

    Args:
        step: optimiser steps taken before it.
        site: the user's line.
        value: the loss (None where it is not one number).
        grad_present: share of the trainable parameters of optimisers whose gradient was there, and not zero, before it.
        stack: outer user lines, innermost first.
    """

    step: int
    site: Site | None
    value: float | None
    grad_present: float
    stack: tuple[Site, ...] = ()


@dataclass
class StepFacts:
    """One step of an optimiser, within the detail window; norms are L2.

    Args:
        step: counted over all optimisers, from 0.
        optimizer: key.
        site: the user's line that called ``step``.
        learning_rates: of each group.
        backwards: calls of backward since this optimiser's previous step (any loss).
        forwards: training calls of a model since then.
        cleared: whether its gradients were cleared (or found to be None or zero) since its previous step.
        cleared_sites: lines that cleared them since then, in order, with "before" or "after" the last backward.
        cleared_after: of each of those lines, how many backward calls had come since the previous step by then.
        clipped: clips of its gradients since then: (site, max_norm, total norm before, was after the last backward).
        gradients: parameter key -> norm of its gradient; None for no gradient.
        weights: parameter key -> norm before the step.
        updates: parameter key -> norm of its change (only on some steps; empty elsewhere).
        training: root models in training mode just before the step.
        evaluating: root models (with modules that care) in evaluation mode just before the step.
        non_finite: keys of parameters whose gradient is not finite.
        loss: value of the last backward before it.
    """

    step: int
    optimizer: int
    site: Site | None
    learning_rates: list[float]
    backwards: int
    forwards: int
    cleared: bool
    cleared_sites: list[tuple[Site | None, str]] = field(default_factory=list)
    cleared_after: list[int] = field(default_factory=list)
    clipped: list[tuple[Site | None, float, float, bool]] = field(default_factory=list)
    gradients: dict[int, float | None] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    updates: dict[int, float] = field(default_factory=dict)
    training: list[str] = field(default_factory=list)
    evaluating: list[str] = field(default_factory=list)
    non_finite: list[int] = field(default_factory=list)
    loss: float | None = None


@dataclass
class RollFacts:
    """Who was there when an optimiser was about to step, in the steps that are looked at in detail.

    Args:
        step: counted over all optimisers, from 0.
        optimizer: key; -1 for weights that the program updates by hand, without an optimiser.
        site: the user's line of the step (of the backward, for updates by hand).
        backward: the user's line of the last backward before it.
        held: keys of the trainable parameters that it holds.
        frozen: keys of parameters that it holds and that require no gradient.
        without: keys of those held whose gradient is None although a backward came.
        stale: keys of those held whose gradient was never cleared since the previous step, and was added to.
        strangers: keys of other known parameters that have a gradient which is not zero.
        frozen_moved: keys of those frozen whose value this step changed nevertheless.
        lost: how many of those held had a gradient after the last backward, and have none at the step.
        lost_at: the line that cleared them.
        thrown: lines that cleared gradients of an earlier backward of the same line, which no one had read.
        backwards: calls of backward since its previous step.
    """

    step: int
    optimizer: int
    site: Site | None
    backward: Site | None = None
    held: list[int] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)
    strangers: list[int] = field(default_factory=list)
    frozen_moved: list[int] = field(default_factory=list)
    lost: int = 0
    lost_at: Site | None = None
    thrown: list[Site | None] = field(default_factory=list)
    backwards: int = 0


@dataclass
class CallFacts:
    """One call of a model with parameters by the user's code.

    Args:
        model: class name of the model; `model_key` tells two of a class apart.
        step: optimiser steps taken before it.
        training: the model's mode.
        mixed_modes: names of submodules whose mode is not the root's.
        grad_enabled: whether a graph was recorded.
        site: the user's line.
        led_to_backward: whether a backward came before the next optimiser step or evaluation ended; None while unknown.
        loader: key of the DataLoader whose batch was the last one fetched; None where there is none.
        batch: size of the first axis of the first tensor input.
        mode_sensitive: kinds of submodules that behave differently in evaluation ("Dropout", "BatchNorm2d").
        repeats: how many calls before it had the very same input tensor.
    """

    model: str
    model_key: int
    step: int
    training: bool
    mixed_modes: list[str]
    grad_enabled: bool
    site: Site | None
    led_to_backward: bool | None
    loader: int | None
    batch: int | None
    mode_sensitive: tuple[str, ...] = ()
    repeats: int = 0


@dataclass
class ModeFacts:
    """A call of ``train()`` or ``eval()`` on a model by the user's code: when, where, and which."""

    step: int
    model_key: int
    model: str
    training: bool
    site: Site | None


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


@dataclass
class LoadFacts:
    """A call of ``load_state_dict`` on a module.

    Args:
        model: class name.
        site: the user's line.
        tensors: how many tensors the module holds.
        given: how many the state held.
        matched: how many names agree.
        changed: how many tensors of the module changed value.
        missing, unexpected: some of the names that do not agree.
        shares_storage: how many given tensors were the module's own, live ones.
        step: optimiser steps taken.
        aliased_since: step at which the given state was taken without a copy, where training has changed it since.
        aliased_site: the line that took it.
        is_own_alias: whether it is the loaded module's own live weights.
        renamed: how many names would agree with one prefix more or less (tensors of the same shape).
        prefix: that prefix.
    """

    model: str
    site: Site | None
    tensors: int
    given: int
    matched: int
    changed: int
    missing: list[str]
    unexpected: list[str]
    shares_storage: int
    step: int
    aliased_since: int | None = None
    aliased_site: Site | None = None
    is_own_alias: bool = False
    renamed: int = 0
    prefix: str = ""


@dataclass
class SnapshotFacts:
    """A state dictionary that the user's code took of a module, looked at again later.

    Args:
        model: class name.
        site: the line that took it.
        step: optimiser steps taken by then.
        is_kept: whether it still lived at the later look.
        shares_storage: share of its tensors that are still the live weights' own memory.
        later_step: steps taken at the later look.
    """

    model: str
    site: Site | None
    step: int
    is_kept: bool
    shares_storage: float
    later_step: int


@dataclass
class ErrorFacts:
    """The exception that ended the program.

    Args:
        kind: class name.
        message: text.
        site: innermost user line.
        op: name of the torch function that raised, with the shapes and dtypes it was given; None where none did.
        module, module_kind, module_settings: the module in whose forward it was raised: name, class, its settings.
        module_site: the line that made that module.
        inputs: (dtype, shape) of each tensor given to that function, parameters left out.
        highest: the largest of the whole numbers given to it.
        shapes: the way to it: (module name, kind, shapes in, shapes out), in order.
        memory: (what, bytes) of what takes the memory, largest first.
    """

    kind: str
    message: str
    site: Site | None
    op: str | None = None
    module: str | None = None
    module_kind: str | None = None
    module_settings: str = ""
    module_site: Site | None = None
    inputs: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    highest: int | None = None
    shapes: list[tuple[str, str, str, str]] = field(default_factory=list)
    memory: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Facts:
    """Everything that is known of a program when it is judged."""

    parameters: dict[int, ParameterFacts] = field(default_factory=dict)
    optimizers: dict[int, OptimizerFacts] = field(default_factory=dict)
    steps: list[StepFacts] = field(default_factory=list)
    backwards: list[BackwardFacts] = field(default_factory=list)
    calls: list[CallFacts] = field(default_factory=list)
    modes: list[ModeFacts] = field(default_factory=list)
    loaders: dict[int, LoaderFacts] = field(default_factory=dict)
    schedulers: dict[int, SchedulerFacts] = field(default_factory=dict)
    loads: list[LoadFacts] = field(default_factory=list)
    snapshots: list[SnapshotFacts] = field(default_factory=list)
    error: ErrorFacts | None = None
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, value) of backward calls; every one at first, thinned later."""
    models: dict[int, ModelFacts] = field(default_factory=dict)
    rolls: list[RollFacts] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    """Keys of parameters that no optimiser of a roll moved, and that changed nevertheless (by hand, by a load)."""
    lasting_leaves: set[int] = field(default_factory=set)
    """Ids of leaves of the graph that are in no model and no optimiser, and were met at more than one backward."""
    moved_leaves: set[int] = field(default_factory=set)
    """Ids of those that changed by hand, or whose gradient the program asks for by `torch.autograd.grad`."""
    aliased_saves: list[tuple[Site | None, Site | None, int, int]] = field(default_factory=list)
    """States saved to a file, taken without a copy at an earlier step: lines and steps of taking and of saving."""
    lost_updates: Site | None = None
    """A line that computes new weights from a gradient without an effect on those that are trained."""
    broken_ties: list[tuple[str, str, Site | None]] = field(default_factory=list)
    """(name, name, line) of parameters that were one object once, and are two now; the line that parted them."""
    plain_freezes: list[tuple[str, Site | None, list[int]]] = field(default_factory=list)
    """(class, line, keys of trainable parameters) of modules that got ``requires_grad = False`` as an attribute."""
    late_modes: list[tuple[int, int, bool]] = field(default_factory=list)
    """(step, key of a model, training) of the models that an optimiser steps, noted when it changed."""
    phases: list[int] = field(default_factory=lambda: [0])
    """Steps at which a phase of training begins: 0, and where another optimiser was made later."""
    total_steps: int = 0
    is_finished: bool = False
    """Whether the program ran to its end (then what never happened is known not to have)."""
    window: int = 20
    probes: dict[str, Mapping[str, object]] = field(default_factory=dict)
    """Name of a probe (``scene/probe``) -> what it measured in a forked child."""
    trials: dict[str, Mapping[str, object]] = field(default_factory=dict)
    """Name of a change -> what the program did with it, among it ``losses``."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def probe(self, name: str) -> Mapping[str, object]:
        """What a probe measured, or an empty mapping where it did not run or found nothing to measure."""
        return self.probes.get(name, {})

    def trainable(self) -> list[ParameterFacts]:
        return [parameter for parameter in self.parameters.values() if parameter.trainable]
