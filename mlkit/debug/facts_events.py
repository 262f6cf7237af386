"""What happened in a program, as plain values: backward passes, steps, calls, loads, the exception that ended it.

Not here: what took part (`facts_parts`), and any judgement.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mlkit.debug.sites import Site


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
        weights: key of the first parameter as it was within the call (`functional_call` puts others in); None for none.
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
    weights: int | None = None


@dataclass
class ModeFacts:
    """A call of ``train()`` or ``eval()`` on a model by the user's code: when, where, and which."""

    step: int
    model_key: int
    model: str
    training: bool
    site: Site | None


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
