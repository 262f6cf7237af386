"""A member trained alone by `mlkit.engine.fit`, and data in float64: what every back end is held against."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from mlkit.data.splits import Batch, TensorSplit
from mlkit.engine import Hook, TrainState, fit, make_optimizer, make_schedule
from mlkit.engine.result import FitResult
from mlkit.engine.step import supervised
from mlkit.metrics.losses import CrossEntropy
from mlkit.population import Member, MemberResult
from mlkit.population.stacked.dropout import set_step, use_keyed_dropout
from mlkit.runtime.keys import derive_seed

CLASSES = 3


def split_of(shape: tuple[int, ...], count: int, *, seed: int) -> TensorSplit:
    """Float64 inputs whose class can be learnt in part."""
    x = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed)).double()
    y = x.flatten(1)[:, :CLASSES].argmax(1)
    return TensorSplit((x,), y)


class _Steps(Hook):
    def on_step_start(self, state: TrainState, batch: Batch) -> None:
        set_step(state.model, state.step)


def fit_alone(
    make_model: Callable[[Member], nn.Module],
    member: Member,
    data: TensorSplit,
    val: TensorSplit,
    *,
    max_epochs: int,
    batch_size: int,
) -> tuple[FitResult, nn.Module]:
    """The member by the engine's `fit`, without any of the population's own code but keyed dropout."""
    model = copy.deepcopy(make_model(member))
    if member.dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = member.dropout
    use_keyed_dropout(model, derive_seed(member.seed, "dropout"))
    if member.rows is not None:
        data = data.subset(member.rows)
    total = max_epochs * -(-len(data) // batch_size)
    if len(data) % batch_size == 1:
        total -= max_epochs
    result = fit(
        model,
        data,
        val=val,
        optimizer=make_optimizer(
            model,
            name=member.optimizer,
            lr=member.lr,
            weight_decay=member.weight_decay,
            betas=member.betas,
            eps=member.eps,
            momentum=member.momentum,
            nesterov=member.nesterov,
        ),
        schedule=None
        if member.schedule is None
        else make_schedule(member.schedule, total_steps=total, warmup_steps=member.warmup_steps)
        if isinstance(member.schedule, str)
        else member.schedule,
        max_epochs=max_epochs,
        batch_size=batch_size,
        clip_norm=member.clip_norm,
        augment=member.augment,
        step=supervised(CrossEntropy(CLASSES, member.label_smoothing)),
        hooks=[_Steps()],
        seed=member.seed if member.data_seed is None else member.data_seed,
        device="cpu",
    )
    return result, model


def assert_same(found: MemberResult, expected: FitResult, *, tolerance: float) -> None:
    """Weights, buffers, history and final metrics of a member are those of the run alone."""
    theirs, own = expected.model.state_dict(), found.model.state_dict()
    assert own.keys() == theirs.keys()
    for name in theirs:
        worst = float((own[name].double() - theirs[name].double()).abs().max())
        assert worst <= tolerance, f"{name} differs by {worst:.3g}"
    assert found.steps == expected.state.step
    assert found.examples == expected.state.examples
    history = [entry for entry in expected.history if entry["split"] != "train" or "final" in entry]
    assert len(found.history) == len(history)
    for one, other in zip(found.history, history, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, float):
                assert abs(one[name] - value) <= tolerance, (name, one[name], value)
            else:
                assert one[name] == value
    assert found.metrics.keys() == expected.metrics.keys()
    for split, metrics in expected.metrics.items():
        assert found.metrics[split].keys() == metrics.keys()
        for name, estimate in metrics.items():
            assert abs(found.metrics[split][name].value - estimate.value) <= tolerance
            for end in ("low", "high"):
                low, mine = getattr(estimate, end), getattr(found.metrics[split][name], end)
                assert (low is None and mine is None) or abs(low - mine) <= max(tolerance, 1e-9) * 10
