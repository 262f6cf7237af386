"""The changes that are tried on a setup that does not fit its batch, smallest first.

Not here: trying them (`mlkit.debug.overfit.prove`), and what they do to a model (`.edits`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug.overfit import edits
from mlkit.debug.overfit.course import Setup, tensors_of
from mlkit.debug.overfit.edits import Edit
from mlkit.debug.overfit.yardstick import Yardstick, matching
from mlkit.metrics.classes import IGNORED


@dataclass(frozen=True)
class Change:
    """One change to a setup.

    Args:
        name: in a few words.
        size: how much it takes a person to accept it: 1 a number of the optimiser, 2 a switch, 3 the loss or the last
            layer, 4 the data, 5 which parameters are trained and by what, 6 the initialisation, 7 the architecture.
        cause: what was wrong, if this cures.
        fix: the line that makes the change.
        edit: makes a changed copy.
        override: the same as a setting of ``python -m mlkit.train``, where there is one.
    """

    name: str
    size: int
    cause: str
    fix: str
    edit: Edit
    override: str | None = None


def changes_for(setup: Setup, stick: Yardstick | None) -> list[Change]:
    """All changes that make a difference to this setup, smallest first."""
    found = [
        *_numbers(setup),
        *_switches(setup),
        *(_losses(setup, stick) if stick is not None else ()),
        *_data(setup, stick),
        *_training(setup),
        *_structure(setup),
    ]
    return sorted(found, key=lambda change: change.size)


def _numbers(setup: Setup) -> Iterator[Change]:
    groups = setup.optimizer.param_groups
    rate = float(groups[0].get("lr", 0.0))
    for factor in (0.1, 10.0, 0.01, 100.0, 0.001, 1000.0):
        new = f"{rate * factor:.3g}"
        word = "high" if factor < 1 else "low"
        yield Change(
            f"learning rate x{factor:g}",
            1,
            f"the learning rate, {rate:.3g}, is too {word}",
            f"lr={new}",
            edits.with_groups(lr=edits.scaled(factor)),
            override=f"optimizer.lr={new}",
        )
    if any(group.get("weight_decay", 0) for group in groups):
        decay = max(group.get("weight_decay", 0) for group in groups)
        yield Change(
            "no weight decay",
            1,
            f"weight decay, {decay:.3g}, holds the weights back",
            "weight_decay=0",
            edits.with_groups(weight_decay=lambda _: 0.0),
            override="optimizer.weight_decay=0",
        )
    if setup.clip_norm is None:
        yield Change(
            "gradients clipped at 1",
            2,
            "single steps are too large",
            "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            lambda one: replace(one.copied(), clip_norm=1.0),
            override="trainer.clip_norm=1",
        )
    elif setup.clip_norm < 1:
        yield Change(
            "gradients not clipped",
            1,
            f"gradients are clipped at {setup.clip_norm:g}, and nearly nothing is left of them",
            "clip_norm=None",
            lambda one: replace(one.copied(), clip_norm=None),
            override="trainer.clip_norm=null",
        )


def _switches(setup: Setup) -> Iterator[Change]:
    modules = list(setup.model.modules())
    rates = [float(m.p) for m in modules if isinstance(m, nn.modules.dropout._DropoutNd)]
    rates += [float(m.dropout) for m in modules if isinstance(m, (nn.RNNBase, nn.MultiheadAttention))]
    if any(rates):
        yield Change(
            "no dropout", 2, f"dropout, {max(rates):g}, erases too much", "p=0", edits.with_modules(_no_dropout),
            override="model.dropout=0",
        )  # fmt: skip
    norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if any(norm.momentum is not None and norm.momentum < 0.05 for norm in norms):
        slow = min(norm.momentum for norm in norms if norm.momentum is not None)
        yield Change(
            "running statistics with momentum 0.1",
            1,
            f"running statistics follow with momentum {slow:g}, and are still those of the start in evaluation",
            "momentum=0.1",
            edits.with_modules(_usual_momentum),
        )
    if norms:
        yield Change(
            "normalisers as in evaluation",
            2,
            "normalisation by the batch stands in the way",
            "for m in norms: m.eval()",
            lambda one: replace(one.copied(), frozen_norms=True),
        )
    if any(x.dtype in (torch.float16, torch.bfloat16) for x in setup.model.parameters()):
        yield Change(
            "float32",
            2,
            "half precision rounds the updates away",
            "model.float()",
            _in_single,
            override="trainer.speed=off",
        )


def _losses(setup: Setup, stick: Yardstick) -> Iterator[Change]:
    loss_fn = setup.loss_fn
    yield Change(
        "the loss with its sign turned",
        3,
        "the loss is minimised where it should be maximised: its sign is wrong",
        "loss = -loss",
        lambda one: replace(one.copied(), loss_fn=lambda output, targets: -loss_fn(output, targets)),
    )
    squash = edits.last_module(setup)
    if squash is not None:
        name = type(squash).__name__
        yield Change(
            f"the output without {name}",
            3,
            f"the last layer is {name}, which the loss does not expect",
            f"return the logits, without {name}",
            edits.without(squash),
        )
    crossed = edits.softmax_over_examples(setup, stick)
    if crossed is not None:
        name, axis = type(crossed).__name__, crossed.dim
        yield Change(
            f"{name} over the classes",
            3,
            f"{name} normalises over the examples (dim={axis}), where classes lie along dim=-1",
            f"nn.{name}(dim=-1)",
            edits.with_swapped(lambda module: type(module) is type(crossed) and module.dim == axis, _over_classes),
        )
    usual, line = _usual_loss(stick)
    yield Change(
        "the usual loss",
        3,
        "the loss does not measure how well the targets are predicted",
        line,
        lambda one: replace(one.copied(), loss_fn=usual),
    )
    if stick.kind == "classes":
        yield Change(
            "the usual loss, for outputs that are probabilities",
            3,
            "the output holds probabilities, and the loss expects something else",
            "loss = F.nll_loss(output.clamp_min(1e-8).log(), y)",
            lambda one: replace(one.copied(), loss_fn=_of_probabilities),
        )


def _data(setup: Setup, stick: Yardstick | None) -> Iterator[Change]:
    inputs = [x for x in tensors_of(setup.batch)[:-1] if x.is_floating_point()]
    if any(_is_unscaled(x) for x in inputs):
        largest = max(float(x.abs().max()) for x in inputs)
        yield Change(
            "standardised inputs",
            4,
            f"inputs are not on the scale that layers expect (up to {largest:.3g})",
            "x = (x - mean) / std    # of the training data",
            edits.with_inputs(edits.standardised),
        )
    targets = setup.batch.targets
    values: Tensor = torch.unique(targets) if targets.numel() else targets
    if stick is not None and stick.kind == "numbers" and len(values) == 2:
        low, high = values.tolist()
        yield Change(
            "targets of 0 and 1",
            4,
            f"targets are {low:g} and {high:g}, where a loss of yes and no expects 0 and 1",
            f"y = (y > {(low + high) / 2:g}).float()",
            lambda one: _targets_of_0_and_1(one, high),
        )
    if stick is not None and stick.kind == "numbers" and _is_unscaled(targets.float()):
        yield Change(
            "standardised targets",
            4,
            f"targets are not on the scale of the output (up to {float(targets.abs().max()):.3g})",
            "y = (y - mean) / std    # of the training data",
            lambda one: _standard_targets(one),
        )


def _training(setup: Setup) -> Iterator[Change]:
    parameters = dict(setup.model.named_parameters())
    held = {id(each) for group in setup.optimizer.param_groups for each in group["params"]}
    left = [name for name, value in parameters.items() if id(value) not in held or not value.requires_grad]
    if left:
        yield Change(
            "all parameters trained",
            5,
            f"{len(left)} of {len(parameters)} parameters are not trained, the first {left[0]}",
            "optimizer over model.parameters(), none frozen",
            edits.with_all_parameters,
        )
    if not isinstance(setup.optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        yield Change(
            "Adam at 1e-3",
            5,
            f"{type(setup.optimizer).__name__} with these settings does not get there",
            "torch.optim.Adam(model.parameters(), lr=1e-3)",
            _with_adam,
            override="optimizer=adam optimizer.lr=0.001",
        )
    if any(callable(getattr(module, "reset_parameters", None)) for module in setup.model.modules()):
        yield Change(
            "default initialisation",
            6,
            "the weights that training starts from",
            "leave the layers as they initialise themselves",
            edits.with_default_weights,
        )


def _structure(setup: Setup) -> Iterator[Change]:
    layers = edits.plain_layers(setup.model)
    if layers is not None:
        dense = [layer for layer in layers if isinstance(layer, nn.Linear)]
        if len(edits.bent(list(layers))) > len(layers):
            yield Change(
                "a ReLU between dense layers",
                7,
                "dense layers follow one another with nothing between: together they are one",
                "nn.ReLU() between them",
                edits.rebuilt(edits.bent),
            )
        yield Change(
            "one hidden layer of 64 units" if len(dense) == 1 else "four times as wide, or 64 units",
            7,
            "the model is too small for the batch",
            "more hidden units",
            edits.rebuilt(edits.wider),
        )
    kinds = {type(m) for m in setup.model.modules() if isinstance(m, edits.BENDS)} - {nn.LeakyReLU}
    squash = edits.last_module(setup)
    if kinds:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        yield Change(
            "leaky ReLU in place of the activations",
            7,
            f"the activation, {names}, lets no gradient through",
            "nn.LeakyReLU(0.1)",
            edits.with_swapped(
                lambda module: isinstance(module, tuple(kinds)) and type(module) is not type(squash),
                lambda _: nn.LeakyReLU(0.1),
            ),
        )


def _no_dropout(module: nn.Module) -> None:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        module.p = 0.0
    elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)):
        module.dropout = 0.0


def _usual_momentum(module: nn.Module) -> None:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.momentum = 0.1


def _in_single(setup: Setup) -> Setup:
    twin = setup.copied()
    twin.model.float()
    return replace(
        twin, batch=edits.mapped(twin.batch, Tensor.float), optimizer=edits.remade(twin.optimizer, twin.model)
    )


def _with_adam(setup: Setup) -> Setup:
    twin = setup.copied()
    parameters = [each for each in twin.model.parameters() if each.requires_grad]
    return replace(twin, optimizer=torch.optim.Adam(parameters, lr=1e-3))


def _standard_targets(setup: Setup) -> Setup:
    twin = setup.copied()
    return replace(twin, batch=twin.batch._replace(targets=edits.standardised(twin.batch.targets.float())))


def _targets_of_0_and_1(setup: Setup, high: float) -> Setup:
    twin = setup.copied()
    return replace(twin, batch=twin.batch._replace(targets=(twin.batch.targets == high).float()))


def _over_classes(module: nn.Module) -> nn.Module:
    return type(module)(dim=-1)


def _is_unscaled(x: Tensor) -> bool:
    mean, deviation = float(x.float().mean()), float(x.float().std()) if x.numel() > 1 else 1.0
    return not (0.1 <= deviation <= 10 and abs(mean) <= 3 * max(deviation, 1.0) and math.isfinite(mean))


def _usual_loss(stick: Yardstick) -> tuple[Callable[[Tensor, Tensor], Tensor], str]:
    if stick.kind == "classes":
        return _cross_entropy, "loss = F.cross_entropy(logits, y)"
    if stick.kind == "yes or no":
        return _binary_cross_entropy, "loss = F.binary_cross_entropy_with_logits(output.view_as(y), y)"
    return _squared_error, "loss = F.mse_loss(output.view_as(y), y)"


def _cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    logits = _outputs(output, targets)
    if logits.ndim == targets.ndim + 1 and logits.ndim > 2 and logits.shape[:-1] == targets.shape:
        logits = logits.flatten(0, -2)
        targets = targets.flatten()
    return F.cross_entropy(logits, targets if targets.is_floating_point() else targets.long(), ignore_index=IGNORED)


def _of_probabilities(output: Tensor, targets: Tensor) -> Tensor:
    return _cross_entropy(_outputs(output, targets).clamp_min(1e-8).log(), targets)


def _binary_cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(_outputs(output, targets).reshape(targets.shape), targets.float())


def _squared_error(output: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(_outputs(output, targets).reshape(targets.shape), targets.float())


def _outputs(output: object, targets: Tensor) -> Tensor:
    found = matching(output, targets)
    if found is None:
        raise TypeError("no output that could be predictions of the targets")
    return found
