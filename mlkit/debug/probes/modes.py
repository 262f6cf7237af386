"""What training and evaluation mode do to the model: drop rates, batch statistics, and whether a mode change returns.

Not here: in which mode the program trained and evaluated (the calls tell that).
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

from mlkit.debug.observe.modules import is_mode_sensitive
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op, modules_by_name, tensors_in

PLAIN = (int, float, bool, str)


@probe("mode-modules")
def mode_modules(scene: Scene) -> Measurement:
    """Every module whose behaviour depends on the mode, with its settings and whether it is frozen."""
    if scene.call is None:
        return {}
    made, found = scene.session.modules.made_at, []
    for call in scene.model_calls:
        for name, module in modules_by_name(call.module):
            if not is_mode_sensitive(module):
                continue
            own = list(module.parameters(recurse=False))
            is_norm = isinstance(module, nn.modules.batchnorm._NormBase)
            found.append(
                {
                    "name": name,
                    "kind": type(module).__name__,
                    "training": module.training,
                    "p": float(getattr(module, "p", 0.0)) if not is_norm else None,
                    "is_norm": is_norm,
                    "tracks": bool(getattr(module, "track_running_stats", False)),
                    "frozen": bool(own) and not any(one.requires_grad for one in own),
                    "parameters": [scene.session.modules.parameter_key(one) for one in own],
                    "site": made(module),
                    "phase": scene.session.facts.phases[-1],
                    "with_graph": call.grad_enabled,
                    "call": call.site,
                }
            )
    functional = [
        {"p": float(p), "site": op.site, "training": bool(op.argument(2, "training", True))}
        for op in scene.trace.ops
        if op.name.endswith("dropout") and isinstance(p := op.argument(1, "p", 0.5), (int, float))
    ]
    return {"modules": found, "functional": functional, "batch_size": scene.batch_size}


@probe("determinism", scenes=("train", "eval"))
def determinism(scene: Scene) -> Measurement:
    """How much the output moves between two passes that differ in the seed alone, in evaluation mode."""
    if scene.call is None:
        return {}
    scene.call.module.eval()
    with torch.no_grad():
        passes = [_outputs(scene, seed) for seed in (0, 0, 1)]
    if not passes[0]:
        return {}
    random = [
        {
            "name": op.name,
            "site": op.site,
            "module": op.modules[-1] if op.modules else "",
        }
        for op in scene.trace.ops
        if scene.call.start <= op.index < scene.call.stop and _is_random(op.name) and _is_on(op)
    ]
    still_training = [name for name, one in modules_by_name(scene.call.module) if one.training]
    return {
        "same_seed": _distance(passes[0], passes[1]),
        "other_seed": _distance(passes[0], passes[2]),
        "random_ops": random,
        "still_training": still_training[:5],
        "was_training": scene.call.training,
    }


def _is_random(name: str) -> bool:
    return name.endswith(("dropout", "dot_product_attention")) or name.rstrip("_") in (
        *("bernoulli", "rand", "rand_like", "randn", "randn_like", "normal", "multinomial", "randint", "randperm"),
        *("poisson", "exponential", "uniform"),
    )


def _is_on(op: Op) -> bool:
    if op.name == "scaled_dot_product_attention":
        return bool(op.argument(4, "dropout_p", 0.0))
    return not op.name.endswith("dropout") or bool(op.argument(2, "training", True))


def _outputs(scene: Scene, seed: int) -> list[Tensor]:
    return [one for one in tensors_in(scene.forward(seed=seed)) if one.is_floating_point()]


def _distance(first: list[Tensor], second: list[Tensor]) -> float:
    """Largest difference, in units of the first's own spread."""
    worst = 0.0
    for one, other in zip(first, second, strict=False):
        if one.shape == other.shape:
            scale = float(one.abs().max()) + 1e-12
            worst = max(worst, float((one - other).abs().max()) / scale)
    return worst


@probe("mode-round-trip")
def round_trip(scene: Scene) -> Measurement:
    """Train, evaluate once, train again: what did not come back."""
    if scene.call is None or not scene.call.training:
        return {}
    module = scene.call.module
    before = _settings(module)
    changes: list[dict[str, object]] = []
    original = nn.Module.__setattr__

    def noting(self: nn.Module, name: str, value: object) -> None:
        if isinstance(value, PLAIN) and name in vars(self) and vars(self)[name] != value:
            site = scene.session.locator.here(sys._getframe(1))
            changes.append({"id": id(self), "attribute": name, "before": vars(self)[name], "site": site})
        original(self, name, value)  # type: ignore[arg-type]

    with torch.no_grad():
        module.eval()
        nn.Module.__setattr__ = noting  # type: ignore[method-assign]
        scene.forward(seed=0)
        nn.Module.__setattr__ = original  # type: ignore[method-assign]
        module.train()
        scene.forward(seed=0)
    after = _settings(module)
    stuck = []
    for (name, attribute), value in after.items():
        if before.get((name, attribute), value) == value or (attribute == "training" and value):
            continue
        site: Site | None = next(
            (one["site"] for one in changes if one["attribute"] == attribute and isinstance(one["site"], Site)), None
        )
        stuck.append(
            {"module": name, "attribute": attribute, "before": before[name, attribute], "after": value, "site": site}
        )
    # What counts or caches at every call changes in training too: only what evaluation alone moves.
    moving = _moves_in_training(scene)
    return {"stuck": [one for one in stuck if (one["module"], one["attribute"]) not in moving]}


def _moves_in_training(scene: Scene) -> set[tuple[str, str]]:
    assert scene.call is not None
    module = scene.call.module
    first = _settings(module)
    with torch.no_grad():
        scene.forward(seed=0)
    second = _settings(module)
    return {key for key, value in second.items() if first.get(key) != value}


def _settings(module: nn.Module) -> dict[tuple[str, str], object]:
    return {
        (name, attribute): value
        for name, one in modules_by_name(module)
        for attribute, value in vars(one).items()
        if isinstance(value, PLAIN)
    }
